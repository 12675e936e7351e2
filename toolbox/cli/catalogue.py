"""Commands that change the catalogue: sync and import."""

import asyncio
import sys
from pathlib import Path
from typing import Any

import click
import msgspec
from msgspec import structs
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from toolbox.cli.backend import Local, Server, local_caller, local_settings, open_local, operate
from toolbox.cli.output import count, json_option, print_json
from toolbox.errors import NotFound
from toolbox.settings import Settings
from toolbox.tools.catalogue import Catalogue, read_catalogue

IMPORT_SOURCE = "import:"
OPENAPI_SOURCE = "openapi:"


@click.command()
@click.option("--model", help="Embed the catalogue with this model too, as if EMBEDDING_MODEL named it.")
@json_option
def sync(model: str | None, as_json: bool) -> None:
    """Bring the catalogue to what the installed plugins offer, as the server does when it starts.

    With --model, the embeddings of another model are made ready beside those that servers search with. Set
    EMBEDDING_MODEL afterwards, and nothing has to wait; set it back, and those that were there before are used again.
    Killed and started again, it goes on where it was.
    """
    with local_settings("sync") as settings:
        report = asyncio.run(_sync(structs.replace(settings, embedding_model=model) if model else settings))
    if as_json:
        print_json(report)
        return
    click.echo(
        f"{len(report.added)} added, {len(report.updated)} updated, {len(report.shown)} shown again, "
        f"{len(report.hidden)} hidden, {report.unchanged} unchanged, {report.embedded} embedded"
    )
    for conflict in report.conflicts:
        click.echo(f"left out: {conflict}", err=True)


@click.command("import")
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--source", help="Where the tools come from; each file's own folder or name if not given.")
@click.option("--openapi", metavar="URL|FILE", help="Import the operations of an OpenAPI document as tools instead.")
@click.option("--server", metavar="URL", help="With --openapi: where the API is, if the document does not say it.")
@click.option("--remove", metavar="SOURCE", help="Remove all tools that were imported from this source instead.")
@click.option(
    "--mcp", "has_servers", is_flag=True, help="Add the MCP servers of hosts' files (mcpServers) as upstreams."
)
@click.option("--all", "is_all", is_flag=True, help="Bring in the document that `toolbox export --all` has written.")
@click.option("--dry-run", is_flag=True, help="With --all: only say what that would do.")
@click.option("--url", metavar="URL", help="With --all: into the server at this address, with the key in API_KEY.")
@click.option("--yes", is_flag=True, help="With --mcp: run packages of a server.json without asking.")
@json_option
def import_(
    files: tuple[Path, ...],
    source: str | None,
    openapi: str | None,
    server: str | None,
    remove: str | None,
    has_servers: bool,
    is_all: bool,
    dry_run: bool,
    url: str | None,
    yes: bool,
    as_json: bool,
) -> None:
    """Import tools from JSON lines: {"id", "name", "description", "input_schema", "tags"} a line.

    Tools that are imported so are listed and found; nothing is known that could run them. Schemas in other dialects are
    mapped to JSON Schema. Importing a file again updates its tools.

    With --openapi, each operation of an API (OpenAPI 3.0 or 3.1, JSON or YAML) becomes a tool that calls it. Importing
    a document again updates its tools, and hides those whose operations are gone.

    With --mcp, FILES are those in which MCP hosts have their servers (Claude, Cursor, VS Code ...), or a server.json of
    the official registry: the servers become upstreams.

    With --all, FILES is one document of everything: all of it is brought in, or nothing.
    """
    if (dry_run or url) and not is_all:
        raise click.UsageError("--dry-run and --url are for --all.")
    if is_all and len(files) == 1:
        _import_all(files[0], url, dry_run=dry_run, as_json=as_json)
        return
    if [bool(files), bool(openapi), bool(remove)].count(True) != 1 or (remove and source) or (server and not openapi):
        raise click.UsageError("give FILES to import, or --openapi URL|FILE, or --remove SOURCE alone.")
    if has_servers and files:
        _import_servers(files, yes=yes, as_json=as_json)
        return
    if openapi:
        from toolbox.cli.openapi import import_api

        import_api(openapi, source, server, as_json=as_json)
        return
    if remove:
        _remove(remove, as_json=as_json)
        return
    with local_settings("import") as settings:
        reports = asyncio.run(_import(settings, files, source))
    if as_json:
        print_json(reports)
    else:
        for report in reports:
            _print_import(report)
    if any(report["rejected"] for report in reports):
        sys.exit(1)


def _import_all(file: Path, url: str | None, *, dry_run: bool, as_json: bool) -> None:
    document = file.read_bytes()

    async def work(server: Server) -> Any:
        path = f"/admin/import?dry_run={str(dry_run).lower()}"
        return server.check(await server.send("POST", path, content=document)).json()

    report = operate(url, "import", work)
    if as_json:
        print_json(report)
        return
    tools = f"{len(report['tools_added'])} added, {len(report['tools_updated'])} updated"
    click.echo(f"tools: {tools}, {report['tools_unchanged']} unchanged")
    for kind in ("toolsets", "upstreams", "keys"):
        for name, done in report[kind].items():
            click.echo(f"{kind.removesuffix('s')} {name}: {done}")
    for remark in report["remarks"]:
        click.echo(f"{remark['kind']} {remark['name']}: {remark['reason']}", err=True)


def _import_servers(files: tuple[Path, ...], *, yes: bool, as_json: bool) -> None:
    from toolbox.cli.upstreams import import_servers

    report = import_servers(files, consents=lambda question: yes or click.confirm(question, err=True))
    if as_json:
        print_json(report)
    for name, done in () if as_json else report["upstreams"].items():
        later = "; its tools are read in the background" if report["is_read_later"] and done != "unchanged" else ""
        tools = "" if later else f", {count(report['tools'][name], 'tool')}"
        click.echo(f"{name}: {done}{tools}{later}")
    for name, problem in (report["problems"] | report["rejected"]).items():
        click.echo(f"{name}: {problem}", err=True)
    if report["problems"] or report["rejected"]:
        sys.exit(1)


def _remove(source: str, *, as_json: bool) -> None:
    label = source if source.startswith((IMPORT_SOURCE, OPENAPI_SOURCE)) else IMPORT_SOURCE + source
    with local_settings("import") as settings:
        removed = asyncio.run(_delete(settings, label))
    if as_json:
        print_json({"source": label, "removed": removed})
    else:
        click.echo(f"{label}: {count(removed, 'tool')} removed")


async def _delete(settings: Settings, label: str) -> int:
    async with open_local(settings) as local:
        removed: int = await local.services.tools.delete_source(label, caller=local_caller())
        if not removed:
            tools = local.services.tools
            known = {**await tools.count_sources(IMPORT_SOURCE), **await tools.count_sources(OPENAPI_SOURCE)}
            raise NotFound(f"nothing was imported from {label!r}; there is: {', '.join(known) or 'nothing'}")
        return removed


async def _sync(settings: Settings) -> Any:
    from toolbox.jobs import embed_job
    from toolbox.tools.sync import embed_missing

    async with open_local(settings) as local:
        services = local.services
        if services.embed is None or services.search.embed is services.embed:
            return services.sync_report
        await services.queue.enqueue(embed_job(services.embed[0]), key=embed_job(services.embed[0]))  # who can, helps
        with show_progress() as progress:
            task = progress.add_task(f"embedding with {services.embed[0].name}", total=None)

            async def advance(done: int, total: int) -> None:
                progress.update(task, completed=done, total=total)

            embedded = await embed_missing(services.database, *services.embed, report=advance)
        return structs.replace(services.sync_report, embedded=embedded)


async def _import(settings: Settings, files: tuple[Path, ...], source: str | None) -> list[dict[str, Any]]:
    async with open_local(settings) as local:
        return [await _import_file(local, file, source or _name_source(file)) for file in files]


async def _import_file(local: Local, file: Path, source: str) -> dict[str, Any]:
    from toolbox.tools.sync import embed_missing, import_tools

    label = IMPORT_SOURCE + source
    catalogue = await _read(local, file, label)
    services = local.services
    with show_progress() as progress:
        writing = progress.add_task(f"{source}: writing", total=None)
        definitions = [tool.definition for tool in catalogue.tools]
        report = await import_tools(services.database, definitions, source=label, caller=local_caller())
        progress.update(writing, total=len(catalogue.tools), completed=len(catalogue.tools))
        embedding = progress.add_task(f"{source}: embedding", total=None)

        async def advance(done: int, total: int) -> None:
            progress.update(embedding, completed=done, total=total)

        embedded = await embed_missing(services.database, *services.embed, report=advance) if services.embed else 0
        progress.update(embedding, total=embedded, completed=embedded)
    return {
        "file": str(file),
        "source": label,
        "added": len(report.added),
        "updated": len(report.updated),
        "unchanged": report.unchanged,
        "withheld": len(report.withheld),
        "embedded": embedded,
        "changes": catalogue.changes,
        "examples": msgspec.to_builtins(catalogue.examples),
        "rejected": [{"line": line.line, "reason": line.reason} for line in catalogue.rejected],
    }


async def _read(local: Local, file: Path, label: str) -> Catalogue:
    tools = local.services.tools
    taken, names_by_id = await tools.read_names(), await tools.read_imported_names(label)
    with file.open("rb") as lines:
        return read_catalogue(lines, source=label, taken=taken, names_by_id=names_by_id)


def _name_source(file: Path) -> str:
    """`bfcl/tools.jsonl` comes from "bfcl"; a file with a name of its own from that."""
    return file.resolve().parent.name if file.stem == "tools" else file.stem


def show_progress() -> Progress:
    """Bars on standard error."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=Console(stderr=True),
    )


def _print_import(report: dict[str, Any]) -> None:
    click.echo(
        f"{report['file']} as {report['source']}: {report['added']} added, {report['updated']} updated, "
        f"{report['unchanged']} unchanged, "
        f"{report['embedded']} embedded, {len(report['rejected'])} rejected"
        + (f"; {report['withheld']} wait for approval" if report["withheld"] else "")
    )
    for kind, times in report["changes"].items():
        click.echo(f"  {kind.replace('_', ' ')}: {times}")
        examples = report["examples"].get(kind, [])
        for example in examples:
            click.echo(f"    line {example['line']}, {example['tool']}: {example['where']}".rstrip(": "))
        if examples and times > len(examples):
            click.echo("    ...")
    for line in report["rejected"]:
        click.echo(f"  line {line['line']} rejected: {line['reason']}", err=True)
