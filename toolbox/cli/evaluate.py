"""`toolbox evaluate`: how well a catalogue is searched, measured with queries whose answers are known."""

import asyncio
import random
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import click
from msgspec import Struct, structs
from rich.progress import Progress

from toolbox.cli.backend import local_settings
from toolbox.cli.catalogue import show_progress
from toolbox.cli.kept_embeddings import kept_embeddings
from toolbox.cli.labelled_queries import category_of, draw, hold_out, read_queries
from toolbox.cli.output import json_option, print_json, print_table
from toolbox.cli.scratch import scratch_database
from toolbox.embedded.owner import default_data_dir
from toolbox.embeddings.base import Embedder
from toolbox.errors import InvalidRequest
from toolbox.index.embeddings import Model, fill_embeddings
from toolbox.index.generic_queries import GENERIC_QUERIES
from toolbox.learning.history import UsedQuery, read_used_queries, replay_uses
from toolbox.learning.recorder import MAX_USES_OF_A_CALLER
from toolbox.learning.vectors import embed_uses
from toolbox.search.evaluation import (
    Answer,
    Evaluation,
    LabelledQuery,
    differences,
    evaluate,
    measure,
    misspell,
    run_queries,
)
from toolbox.search.evaluation_page import Report, render_page
from toolbox.search.ranking import Ranking
from toolbox.search.service import SearchService
from toolbox.settings import Settings
from toolbox.tools.catalogue import read_catalogue
from toolbox.tools.repository import ToolFilter


@click.command("evaluate")
@click.argument("tools", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.argument("queries", required=False, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--history", is_flag=True, help="Your own catalogue, with what was called after searches as answers.")
@click.option("--sample", type=click.IntRange(1), metavar="N", help="Only so many queries, drawn by --seed.")
@click.option("--seed", type=int, default=1, show_default=True, help="What is drawn, and where --typos fall.")
@click.option(
    "--uses",
    type=click.IntRange(1, MAX_USES_OF_A_CALLER),
    metavar="N",
    help="First use each tool after up to N of its queries, and ask the others alone.",
)
@click.option("--vector-weight", type=click.FloatRange(0, 1), help="Share of meaning against words; else as set.")
@click.option("--ablate", is_flag=True, help="Also search without each stage, to see what it brings.")
@click.option("--typos", is_flag=True, help="Also search with one letter wrong in one word of each query.")
@click.option("--html", type=click.Path(dir_okay=False, path_type=Path), help="Write a page with plots there.")
@click.option(
    "--cache",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where embeddings of tools are kept between runs; by default in DATA_DIR.",
)
@json_option
def evaluate_(
    tools: Path | None,
    queries: Path | None,
    history: bool,
    html: Path | None,
    cache: Path | None,
    as_json: bool,
    **options: Any,
) -> None:
    """Measure how well a catalogue is searched.

    TOOLS is a catalogue as `toolbox import` reads it; QUERIES has {"query", "relevant": [ids of tools]} a line, and may
    have "id" and "category". Both are put into a database of their own, which is dropped afterwards; your catalogue is
    not touched.

    With --uses it is also measured what search learns from use: "- use" is what it found for the same queries before.

    With --history it is your own catalogue that is searched, for what callers have searched: the right tools are those
    that they then called with success. What search has learned from that is left aside, and nothing is written.
    """
    if history == bool(tools) or bool(tools) != bool(queries):
        raise click.UsageError("give either TOOLS and QUERIES, or --history alone.")
    if history and options["uses"]:
        raise click.UsageError("--uses needs TOOLS and QUERIES: with --history the uses are the queries.")
    wanted = Wanted(**options)
    if html:
        _check_page(html)
    with local_settings("evaluate") as settings:
        if tools and queries:
            folder = cache or (settings.data_dir or default_data_dir()) / "evaluation"
            _check_folder(folder)
            report = asyncio.run(_evaluate_files(settings, tools, queries, wanted, folder))
        else:
            report = asyncio.run(_evaluate_history(settings, wanted))
    print_json(report) if as_json else print_report(report)
    if html:
        _write_page(html, report)


def _check_page(page: Path) -> None:
    """Before anything is measured; the page that may be there stays as it is."""
    try:
        with page.open("ab") if page.exists() else tempfile.TemporaryFile(dir=page.parent):
            pass
    except OSError as error:
        raise InvalidRequest(f"no page can be written to {page}: {error.strerror}") from error


def _check_folder(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            pass
    except OSError as error:
        raise InvalidRequest(
            f"embeddings cannot be kept in {folder}: {error.strerror}; name another folder with --cache"
        ) from error


def _write_page(page: Path, report: Report) -> None:
    try:
        page.write_text(render_page(report), encoding="utf-8")
    except OSError as error:
        raise InvalidRequest(f"the page cannot be written to {page}: {error.strerror}") from error
    click.echo(f"the page with plots is at {page}", err=True)


class Wanted(Struct, frozen=True):
    """The options that say what is measured."""

    sample: int | None
    seed: int
    uses: int | None
    vector_weight: float | None
    ablate: bool
    typos: bool


async def _evaluate_files(settings: Settings, tools: Path, queries: Path, wanted: Wanted, folder: Path) -> Report:
    from toolbox.services import open_services  # slow to load, and nothing else here needs it
    from toolbox.tools.sync import import_tools

    with tools.open("rb") as lines:
        catalogue = read_catalogue(lines, source="import:evaluation", taken=set(), names_by_id={})
    labelled, left_out = read_queries(queries, {tool.id: tool.definition.name for tool in catalogue.tools})
    with show_progress() as progress:
        async with scratch_database(settings) as scratch, open_services(scratch) as services:
            writing = progress.add_task("writing tools", total=None)
            definitions = [tool.definition for tool in catalogue.tools]
            await import_tools(services.database, definitions, source="import:evaluation")
            progress.update(writing, total=len(definitions), completed=len(definitions))
            embed = await _embed_tools(services, folder, progress)
            used = list[LabelledQuery]()
            if wanted.uses:
                used, labelled = hold_out(labelled, wanted.uses, wanted.seed)
                await _use(services, embed, used, progress)
            asked = draw(labelled, wanted.sample, wanted.seed)
            report = await _measure(services, embed, asked, wanted, progress)
    title = f"{tools} with {queries.name}"
    return structs.replace(report, title=title, tools=len(catalogue.tools), left_out=left_out, used=len(used))


async def _evaluate_history(settings: Settings, wanted: Wanted) -> Report:
    from toolbox.services import open_services  # slow to load, and nothing else here needs it

    async with open_services(settings) as services:
        used = await read_used_queries(services.database)
        if not used:
            raise InvalidRequest(
                "there is no history: nobody has called a tool with success within ten minutes of a search that showed "
                "it, or LEARN_FROM_USE was off"
            )
        labelled = [
            LabelledQuery(str(number), *query, category_of(query.tools)) for number, query in enumerate(used, 1)
        ]
        asked = draw(labelled, wanted.sample, wanted.seed)
        with show_progress() as progress:
            report = await _measure(services, services.search.embed, asked, wanted, progress)
        page = await services.tools.list_tools(ToolFilter(), limit=1, offset=0)
    return structs.replace(report, title="your catalogue with its history", tools=page.total)


async def _measure(
    services: Any,
    embed: tuple[Model, Embedder] | None,
    queries: Sequence[LabelledQuery],
    wanted: Wanted,
    progress: Progress,
) -> Report:
    """Everything but what was searched."""

    async def ask(label: str, asked: Sequence[LabelledQuery], **how: Any) -> list[Answer]:
        task = progress.add_task(label, total=len(asked))
        return await _ask(services, embed, asked, wanted, lambda done: progress.update(task, completed=done), how)

    answers = await ask("searching", queries)
    others = await ask("other requests", _other_requests())
    evaluation = evaluate(answers, [answer.confidence for answer in others])
    ablations = (_ABLATIONS if wanted.ablate else {}) | (_WITHOUT_USES if wanted.uses else {})
    ablated = {}
    for stage, how in ablations.items():
        ablated[stage] = measure(await ask(f"without {stage}", queries, **how))
    typos = None
    if wanted.typos:
        dice = random.Random(wanted.seed)  # noqa: S311 - drawn, not secret
        wrong = [structs.replace(query, text=misspell(query.text, dice)) for query in queries]
        typos = measure(await ask("misspelled", wrong))
    return Report(
        title="",
        tools=0,
        model=embed[0].name if embed else None,
        vector_weight=_vector_weight(services.settings, wanted),
        evaluation=evaluation,
        ablated=ablated,
        brings=differences(evaluation.quality, ablated),
        typos=typos,
    )


_ABLATIONS: dict[str, dict[str, Any]] = {
    "meaning": {"meaning": False},
    "words": {"use_hybrid": False},
    "clauses": {"ranking": Ranking(clauses=0)},
    "corrections": {"ranking": Ranking(corrections=0)},
    "names": {"ranking": Ranking(names=False)},
}
_WITHOUT_USES: dict[str, dict[str, Any]] = {"use": {"ranking": Ranking(uses=0)}}
_CALLER = "evaluation"
"""Who uses tools with --uses, and asks then."""


async def _use(
    services: Any, embed: tuple[Model, Embedder] | None, used: Sequence[LabelledQuery], progress: Progress
) -> None:
    """Let a caller use tools after queries, as the server would record it."""
    task = progress.add_task("using tools", total=len(used))
    pairs = [UsedQuery(query.text, query.relevant) for query in used]
    await replay_uses(services.database, pairs, _CALLER)
    if embed:
        await embed_uses(services.database, *embed)
    progress.update(task, completed=len(used))


async def _ask(
    services: Any,
    embed: tuple[Model, Embedder] | None,
    queries: Sequence[LabelledQuery],
    wanted: Wanted,
    report: Callable[[int], None],
    how: dict[str, Any],
) -> list[Answer]:
    search = SearchService(
        services.database, embed if how.get("meaning", True) else None, how.get("ranking", Ranking())
    )
    return await run_queries(
        search,
        queries,
        vector_weight=_vector_weight(services.settings, wanted),
        use_hybrid=how.get("use_hybrid", True),
        caller=_CALLER if wanted.uses else None,
        report=report,
    )


def _vector_weight(settings: Settings, wanted: Wanted) -> float:
    return settings.vector_weight if wanted.vector_weight is None else wanted.vector_weight


def _other_requests() -> list[LabelledQuery]:
    nothing = frozenset({""})
    return [LabelledQuery(str(number), text, nothing, "") for number, text in enumerate(GENERIC_QUERIES)]


async def _embed_tools(services: Any, folder: Path, progress: Progress) -> tuple[Model, Embedder] | None:
    """Embed the catalogue with what was kept of earlier runs; searches then use the model itself, uncached."""
    if services.embed is None:
        return None
    model, cached = services.embed
    embedder = services.endpoint or services.plugins.embedders.get(model.name, cached)
    task = progress.add_task("embedding tools", total=None)

    async def advance(done: int, total: int) -> None:
        progress.update(task, completed=done, total=total)

    with kept_embeddings(embedder, folder) as kept:
        await fill_embeddings(services.database, model, kept, advance)
    await services.database.execute("analyze")
    return model, embedder


def print_report(report: Report) -> None:
    """The figures as tables."""
    evaluation, left_out = report.evaluation, f", {report.left_out} left out" if report.left_out else ""
    used = f", {report.used} used before" if report.used else ""
    click.echo(f"{report.title}: {report.tools} tools, {evaluation.quality.queries} queries{used}{left_out}")
    click.echo(f"model {report.model or 'none'}, vector weight {report.vector_weight:g}\n")
    rows = (
        [("all", evaluation.quality), *evaluation.categories.items()]
        if len(evaluation.categories) > 1
        else [("all", evaluation.quality)]
    )
    rows += [(f"- {stage}", quality) for stage, quality in report.ablated.items()]
    rows += [("typos", report.typos)] if report.typos else []
    columns = ["", "queries", "R@1", "R@3", "R@5", "R@10", "nDCG@5", "nDCG@10", "MRR", "C@5", "C@10"]
    print_table(columns, [(label, quality.queries, *figures(quality)) for label, quality in rows])
    _print_confidence(evaluation)
    speed = structs.asdict(evaluation.speed)
    print_table(
        ["ms per query", "mean", "median", "p95"],
        [(stage, f"{took.mean:.2f}", f"{took.median:.2f}", f"{took.p95:.2f}") for stage, took in speed.items()],
    )


def figures(quality: Any) -> list[str]:
    """Its shares as percentages, in the order of the columns."""
    values = [*quality.recall.values(), *quality.ndcg.values(), quality.mrr, *quality.completeness.values()]
    return [f"{100 * value:.1f}" for value in values]


def _print_confidence(evaluation: Evaluation) -> None:
    kept = evaluation.kept_by_threshold
    shown = [0.25, 0.5, 0.75, 0.9]
    click.echo()
    print_table(
        ["right hits lost to a threshold of", *(f"{cut:g}" for cut in shown)],
        [("percent", *(f"{100 * (1 - kept[cut]):.1f}" for cut in shown))],
    )
    abstention = evaluation.abstention
    others = "" if abstention.other_requests is None else f", other requests {abstention.other_requests:.3f}"
    click.echo(f"\nabstention AUC: own tools removed {abstention.own_tools_removed:.3f}{others}\n")
