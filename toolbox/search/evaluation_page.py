"""The evaluation as a page of its own: tables and plots in one file that loads nothing. Pure."""

from collections.abc import Iterable, Mapping, Sequence
from html import escape
from typing import Any

from msgspec import Struct, field

from toolbox.search.evaluation import Evaluation, Quality


class Report(Struct, frozen=True):
    """What was evaluated, and what came of it."""

    title: str
    tools: int
    model: str | None
    vector_weight: float
    evaluation: Evaluation
    left_out: int = 0
    used: int = 0
    """Queries after which tools were used before the others were asked."""
    ablated: dict[str, Quality] = field(default_factory=dict)
    brings: dict[str, float] = field(default_factory=dict)
    typos: Quality | None = None


def render_page(report: Report) -> str:
    """The page."""
    evaluation = report.evaluation
    runs: list[tuple[str, Quality]] = [("all", evaluation.quality), *evaluation.categories.items()]
    runs += [(f"without {stage}", quality) for stage, quality in report.ablated.items()]
    runs += [("misspelled", report.typos)] if report.typos else []
    curve = list(enumerate(evaluation.recall_curve, 1))
    about = (
        f"{report.tools} tools, {evaluation.quality.queries} queries, {report.used} used before, "
        f"{report.left_out} left out; model "
        f"{report.model or 'none'}, vector weight {report.vector_weight:g}"
    )
    sections = [
        f"<h1>{escape(report.title)}</h1>",
        f"<p>{escape(about)}</p>",
        _table(_COLUMNS, [(label, quality.queries, *_percentages(quality)) for label, quality in runs]),
        _figure("Recall by rank", _line_plot(curve, "matches looked at", "recall")),
        _figure("nDCG@10 by category", _bar_plot({n: q.ndcg[10] for n, q in evaluation.categories.items()})),
        _figure("What each stage brings to nDCG@10", _bar_plot(report.brings)) if report.brings else "",
        _figure(
            "Right hits kept by a threshold",
            _line_plot(list(evaluation.kept_by_threshold.items()), "threshold", "right hits kept"),
        ),
        f"<p>Abstention, area under the curve: {_abstention(evaluation)}</p>",
        _speed(evaluation),
        "<h2>Worst queries</h2>",
        _table(
            ["query", "right", "found", "nDCG@10"],
            [
                (worst.query, ", ".join(worst.relevant), ", ".join(worst.found), f"{100 * worst.ndcg:.0f}")
                for worst in evaluation.worst
            ],
        ),
    ]
    body = "\n".join(section for section in sections if section)
    return _PAGE.format(title=escape(report.title), style=_STYLE, body=body)


_PAGE = """<!doctype html>
<html lang="en"><meta charset="utf-8"><title>{title}</title>
<style>{style}</style>
<body>
{body}
</body></html>
"""
_COLUMNS = ["", "queries", "R@1", "R@3", "R@5", "R@10", "nDCG@5", "nDCG@10", "MRR", "C@5", "C@10"]
_STYLE = """
    :root { color-scheme: light dark }
    body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 60rem }
    table { border-collapse: collapse; margin: 1rem 0; font-variant-numeric: tabular-nums }
    th, td { padding: .2rem .7rem .2rem 0; text-align: left; vertical-align: top; border-bottom: 1px solid #8884 }
    figure { margin: 1.5rem 0 } figcaption { font-weight: 600 }
    svg { width: 100%; max-width: 40rem; height: auto } svg text { font-size: 12px; fill: currentColor }
    .line { fill: none; stroke: #2f6fde; stroke-width: 2 } .bar { fill: #2f6fde } .loss { fill: #c8503c }
    .axis { stroke: currentColor; opacity: .3 }
"""
_WIDTH, _HEIGHT, _LEFT, _BOTTOM = 640, 260, 48, 40


def _percentages(quality: Quality) -> list[str]:
    values = [*quality.recall.values(), *quality.ndcg.values(), quality.mrr, *quality.completeness.values()]
    return [f"{100 * value:.1f}" for value in values]


def _abstention(evaluation: Evaluation) -> str:
    found = evaluation.abstention
    others = "" if found.other_requests is None else f"; against requests of any kind {found.other_requests:.3f}"
    return f"own tools removed {found.own_tools_removed:.3f}{others}"


def _speed(evaluation: Evaluation) -> str:
    speed = evaluation.speed
    rows = [("total", speed.total), ("embedding", speed.embedding), ("database", speed.database), ("rest", speed.rest)]
    return _table(
        ["ms per query", "mean", "median", "p95"],
        [(stage, f"{took.mean:.2f}", f"{took.median:.2f}", f"{took.p95:.2f}") for stage, took in rows],
    )


def _table(columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> str:
    head = "".join(f"<th>{escape(column)}</th>" for column in columns)
    body = "".join(f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows)
    return f"<table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>"


def _figure(caption: str, plot: str) -> str:
    return f"<figure><figcaption>{escape(caption)}</figcaption>{plot}</figure>"


def _line_plot(points: Sequence[tuple[float, float]], along: str, up: str) -> str:
    """Values in 0..1 over something."""
    first, last = points[0][0], points[-1][0]
    wide, high = _WIDTH - _LEFT - 16, _HEIGHT - _BOTTOM - 16

    def place(x: float, y: float) -> str:
        return f"{_LEFT + wide * (x - first) / ((last - first) or 1):.1f},{16 + high * (1 - y):.1f}"

    grid = "".join(
        f'<path class="axis" d="M{_LEFT} {16 + high * (1 - y):.1f}H{_WIDTH - 16}"/>'
        f'<text x="8" y="{20 + high * (1 - y):.1f}">{100 * y:.0f}</text>'
        for y in (0.0, 0.25, 0.5, 0.75, 1.0)
    )
    marks = "".join(
        f'<text x="{place(x, 0).split(",")[0]}" y="{_HEIGHT - 22}" text-anchor="middle">{x:g}</text>'
        for x, _ in points[:: max(1, len(points) // 10)]
    )
    path = " ".join(place(x, y) for x, y in points)
    return _svg(
        f'{grid}{marks}<polyline class="line" points="{path}"/>'
        f'<text x="{_LEFT + wide / 2}" y="{_HEIGHT - 4}" text-anchor="middle">{escape(along)}</text>',
        _HEIGHT,
        up,
    )


def _bar_plot(values: Mapping[str, float]) -> str:
    """A bar each, as percentages; a loss has another colour."""
    longest = max([abs(value) for value in values.values()], default=1) or 1
    bars = []
    for row, (name, value) in enumerate(values.items()):
        top, width = 8 + row * 26, 360 * abs(value) / longest
        bars.append(
            f'<text x="0" y="{top + 14}">{escape(name[:24])}</text>'
            f'<rect class="{"bar" if value >= 0 else "loss"}" x="180" y="{top}" width="{width:.1f}" height="18"/>'
            f'<text x="{186 + width:.1f}" y="{top + 14}">{100 * value:.1f}</text>'
        )
    return _svg("".join(bars), 16 + 26 * len(values), "percent")


def _svg(inner: str, height: int, label: str) -> str:
    return f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="{escape(label)}">{inner}</svg>'
