"""The report of coverage: one HTML page that needs no other file, with pictures."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape
from typing import Final

from stepwell.asl.histories.coverage import KINDS, STATE, Coverage, Tally
from stepwell.visualize import dot, layout, svg
from stepwell.visualize import theme as colours
from stepwell.visualize.coverage import texts
from stepwell.visualize.coverage.texts import COLUMNS, Covered
from stepwell.visualize.graph import Edge, build
from stepwell.visualize.overlay import look, times
from stepwell.visualize.theme import CAUGHT, FAILED, SUCCEEDED


class CoverageMarks:
    """See overlay.Marks: green what is covered, amber where parts of a state are missed, red the
    states that no execution has entered.
    """

    def __init__(self, coverage: Coverage) -> None:
        self._coverage = coverage
        self._missed = {point.state: point.kind for point in coverage.missed()}
        self._missed |= {p.state: p.kind for p in coverage.missed() if p.kind == STATE}

    def status(self, name: str) -> str:
        kind = self._missed.get(name)
        return SUCCEEDED if kind is None else FAILED if kind == STATE else CAUGHT

    def badge(self, name: str) -> str:
        return texts.visits(self._coverage, name)

    def taken(self, edge: Edge) -> int:
        return times(self._coverage.passages, edge)

    def look(self, edge: Edge) -> str:
        return look(edge)


def picture(coverage: Coverage, theme: str = colours.AUTO, engine: str | None = None) -> str:
    """The state machine with what is covered: SVG, one element. Raises RenderError."""
    graph, marks = build(coverage.definition), CoverageMarks(coverage)
    source = dot.source(graph, colours.theme(theme), "TB", marks)
    return svg.svg(layout.lay_out(source, "svg", engine), graph, theme, "TB", marks, style=False)


def page(machines: Sequence[Covered]) -> str:
    """The HTML of the report. Raises RenderError."""
    whole = texts.total(machines)
    sections = "\n".join(map(_section, machines, range(len(machines))))
    return _PAGE.format(
        style=colours.stylesheet() + _STYLE,
        percent=texts.percent(whole),
        summary=f"{whole.covered} of {whole.total} points are covered.",
        rows="\n".join(map(_row, machines, range(len(machines)))),
        columns="".join(f'<th scope="col">{title}</th>' for title in COLUMNS.values()),
        sections=sections,
    )


def _row(machine: Covered, number: int) -> str:
    tally = machine.coverage.tally()
    cells = "".join(f"<td>{_share(tally.get(kind))}</td>" for kind in KINDS)
    return (
        f'<tr><th scope="row"><a href="#m{number}">{escape(machine.title)}</a></th>{cells}'
        f"<td>{_meter(machine.coverage.total)}</td></tr>"
    )


def _share(tally: Tally | None) -> str:
    if tally is None:
        return '<span class="muted">&ndash;</span>'
    short = ' class="short"' if tally.covered < tally.total else ""
    return f"<span{short}>{tally.covered}/{tally.total}</span>"


def _meter(tally: Tally) -> str:
    return (
        f'<span class="meter" aria-hidden="true"><i style="width:{tally.percent:.1f}%"></i></span>'
        f"<b>{texts.percent(tally)}</b>"
    )


def _section(machine: Covered, number: int) -> str:
    coverage = machine.coverage
    missed = "\n".join(
        f"<li><code>{escape(machine.place(point))}</code> {escape(texts.what(point))}</li>"
        for point in texts.listed(coverage)
    )
    listed = f"<ul>{missed}</ul>" if missed else "<p>Everything is covered.</p>"
    return (
        f'<section id="m{number}"><h2>{escape(machine.title)}</h2>'
        f'<p class="muted">{texts.executed(coverage)}</p>'
        f'<div class="columns"><div class="picture">{picture(coverage)}</div>'
        f"<div><h3>Not covered</h3>{listed}</div></div></section>"
    )


_STYLE: Final = """
:root { color-scheme: light dark; }
body {
  margin: 0 auto; max-width: 1200px; padding: 24px; background: var(--sw-page);
  color: var(--sw-ink);
  font: 14px/1.5 "Noto Sans", system-ui, -apple-system, "Segoe UI", "Open Sans", sans-serif;
}
h1 { font-size: 20px; margin: 0 0 4px; }
h2 { font-size: 16px; margin: 32px 0 4px; overflow-wrap: anywhere; }
h3 { font-size: 13px; margin: 0 0 6px; }
p { margin: 4px 0; }
a { color: var(--sw-running-badge); text-decoration: none; }
a:hover { text-decoration: underline; }
code { font: 12px/1.5 ui-monospace, "SF Mono", Menlo, Consolas, monospace; }
.muted { color: var(--sw-muted); }
.short { color: var(--sw-failed-badge); font-weight: 600; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; margin: 16px 0; }
th, td {
  padding: 6px 14px 6px 0; text-align: right; border-bottom: 1px solid var(--sw-cluster-line);
  white-space: nowrap;
}
th:first-child { text-align: left; font-weight: 600; }
thead th { color: var(--sw-muted); font-weight: 400; }
.meter {
  display: inline-block; width: 90px; height: 8px; border-radius: 4px; margin-right: 8px;
  background: var(--sw-cluster-line); overflow: hidden;
}
.meter + b { display: inline-block; min-width: 3.2em; }
.meter i { display: block; height: 100%; background: var(--sw-succeeded-line); }
.columns { display: flex; gap: 32px; align-items: flex-start; flex-wrap: wrap; margin-top: 12px; }
.columns > div { min-width: 0; flex: 1 1 320px; }
.picture { overflow-x: auto; }
.picture svg { max-width: 100%; height: auto; }
ul { margin: 0; padding-left: 18px; }
li { margin: 4px 0; overflow-wrap: anywhere; }
:focus-visible { outline: 2px solid var(--sw-running-line); outline-offset: 2px; }
"""
_PAGE: Final = """\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>Coverage {percent}</title>
<style>{style}</style>
</head>
<body class="stepwell">
<h1>Coverage {percent}</h1>
<p>{summary}</p>
<div class="wide"><table>
<thead><tr><th scope="col">State machine</th>{columns}<th scope="col">Covered</th></tr></thead>
<tbody>
{rows}
</tbody>
</table></div>
{sections}
</body>
</html>
"""
