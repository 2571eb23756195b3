"""Reports of Results: a table and the failures in the terminal; JSON, JUnit XML and HTML files."""

import html
import json
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final
from xml.etree import ElementTree

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from stepwell.conformance.report.results import Result, Verdict, by_cause

_NO_XML: Final = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
_SHOWN: Final = 20  # causes in the terminal; the files have all failures


@dataclass(frozen=True, slots=True)
class About:
    """The endpoint and the parameters of a run, at the top of every file. `notes`: name -> value,
    such as the seed.
    """

    endpoint: str
    notes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Score:
    """The counts of an area: examples that passed, failed and were skipped."""

    area: str
    passed: int
    failed: int
    skipped: int

    @property
    def percent(self) -> str:
        """Rounded down: 100.0 only where nothing failed."""
        ran = self.passed + self.failed
        return f"{self.passed * 1000 // ran / 10:.1f} %" if ran else "-"


def scores(results: Iterable[Result]) -> list[Score]:
    """A Score for each area, in the order of their first results, and the total."""
    counts: dict[str, Counter[Verdict]] = {}
    for result in results:
        counts.setdefault(result.area, Counter())[result.verdict] += result.count
    rows = [
        Score(area, n[Verdict.PASSED], n[Verdict.FAILED], n[Verdict.SKIPPED])
        for area, n in counts.items()
    ]
    return [
        *rows,
        Score(
            "total",
            *(sum(getattr(row, name) for row in rows) for name in ("passed", "failed", "skipped")),
        ),
    ]


def failures(results: Iterable[Result]) -> list[Result]:
    return [result for result in results if result.verdict is Verdict.FAILED]


# --- the terminal ---------------------------------------------------------------------------------
def show(console: Console, results: Sequence[Result], about: About) -> None:
    """The failures by cause, with the shortest example of each, and the table."""
    groups = by_cause(results)
    for _, group in groups[:_SHOWN]:
        count = sum(result.count for result in group)
        more = f" [dim]and {count - 1} more like it[/]" if count > 1 else ""
        console.print(
            f"[red]FAILED[/] {escape(group[0].area)} [bold]{escape(group[0].name)}[/]{more}"
        )
        for problem in group[0].problems[:5]:
            console.print(f"    {escape(problem)}", soft_wrap=True)
    if len(groups) > _SHOWN:
        console.print(
            f"... and {len(groups) - _SHOWN} more causes: --json, --junit or --html writes "
            "all of them"
        )
    table = Table(
        "area",
        *(f"{name}" for name in ("passed", "failed", "skipped", "score")),
        title=f"Conformance of {about.endpoint}",
    )
    for column in table.columns[1:]:
        column.justify = "right"
    rows = scores(results)
    for row in rows:
        if row is rows[-1]:
            table.add_section()
        style = "red" if row.failed else None
        table.add_row(
            row.area, str(row.passed), str(row.failed), str(row.skipped), row.percent, style=style
        )
    console.print(table)


# --- files ----------------------------------------------------------------------------------------
def as_json(results: Sequence[Result], about: About) -> str:
    """{"endpoint", "notes", "scores": [...], "results": [...]}, with evidence as a JSON value."""
    value: dict[str, Any] = {
        "endpoint": about.endpoint,
        "notes": about.notes,
        "scores": [asdict(score) for score in scores(results)],
        "results": [
            asdict(result) | {"evidence": json.loads(result.evidence or "null")}
            for result in results
        ],
    }
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def as_junit(results: Sequence[Result], about: About) -> str:
    """One test case for each result, one suite for each area."""
    root = ElementTree.Element("testsuites", name=f"conformance of {about.endpoint}")
    suites: dict[str, ElementTree.Element] = {}
    for result in results:
        if result.area not in suites:
            suites[result.area] = ElementTree.SubElement(root, "testsuite", name=result.area)
        case = ElementTree.SubElement(
            suites[result.area],
            "testcase",
            classname=result.area,
            name=result.name,
            time=f"{result.seconds:.3f}",
        )
        if result.verdict is Verdict.FAILED:
            text = "\n".join((*result.problems, result.evidence))
            ElementTree.SubElement(
                case, "failure", message=_xml(result.problems[0] if result.problems else "")
            ).text = _xml(text)
        elif result.verdict is Verdict.SKIPPED:
            ElementTree.SubElement(case, "skipped", message=_xml(result.reason))
    for suite in suites.values():
        for attribute, tag in (
            ("tests", "testcase"),
            ("failures", "testcase/failure"),
            ("skipped", "testcase/skipped"),
        ):
            suite.set(attribute, str(len(suite.findall(tag))))
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode", xml_declaration=True) + "\n"


def _xml(text: str) -> str:
    """The text with the characters replaced that XML cannot contain."""
    return _NO_XML.sub("�", text)


_STYLE: Final = """
:root { color-scheme: light dark; font: 15px/1.45 system-ui, sans-serif; }
body { max-width: 62rem; margin: 2rem auto; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { padding: .3rem .7rem; border-bottom: 1px solid #8884; text-align: right; }
th:first-child, td:first-child { text-align: left; } tr:last-child td { font-weight: 600; }
.bar { width: 30%; }
.bar div { height: .7rem; border-radius: .3rem; background: #c33; overflow: hidden; }
.bar i { display: block; height: 100%; background: #2a8f4f; }
details { border-bottom: 1px solid #8884; padding: .3rem 0; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; }
.failed { color: #c33; } small { opacity: .7; }
"""


def as_html(results: Sequence[Result], about: About) -> str:
    """A self-contained page: the table, and every failure with the data that reproduces it."""
    rows = "".join(
        f"<tr><td>{html.escape(row.area)}</td><td>{row.passed}</td>"
        f"<td{' class=failed' if row.failed else ''}>{row.failed}</td>"
        f"<td>{row.skipped}</td><td>{row.percent}</td><td class=bar>{_bar(row)}</td></tr>\n"
        for row in scores(results)
    )
    failed = "".join(
        f"<h3>{sum(result.count for result in group)} × {html.escape(cause)}</h3>"
        + "".join(map(_failure, group))
        for cause, group in by_cause(results)
    )
    skipped = Counter(result.reason for result in results if result.verdict is Verdict.SKIPPED)
    reasons = "".join(
        f"<li>{count}: {html.escape(reason)}</li>" for reason, count in skipped.most_common()
    )
    notes = ", ".join(f"{name} {value}" for name, value in about.notes.items())
    return (
        "<!doctype html><html lang=en><meta charset=utf-8><title>Conformance of "
        f"{html.escape(about.endpoint)}</title>"
        f"<meta name=viewport content='width=device-width'><style>{_STYLE}</style>"
        "<h1>Conformance of "
        f"{html.escape(about.endpoint)}</h1><p><small>{html.escape(notes)}</small></p>"
        "<table><tr><th>area<th>passed<th>failed<th>skipped<th>score<th></tr>\n"
        f"{rows}</table><h2>Failures</h2>{failed or '<p>None.</p>'}"
        f"<h2>Skipped</h2><ul>{reasons or '<li>Nothing.</li>'}</ul></html>\n"
    )


def _failure(result: Result) -> str:
    return (
        f"<details><summary><b class=failed>{html.escape(result.area)}</b> "
        f"{html.escape(result.name)}</summary>"
        f"<pre>{html.escape(chr(10).join(result.problems))}</pre><pre>{html.escape(_pretty(result.evidence))}</pre></details>\n"
    )


def _bar(row: Score) -> str:
    ran = row.passed + row.failed
    return f"<div><i style='width:{row.passed * 100 / ran:.1f}%'></i></div>" if ran else ""


def _pretty(evidence: str) -> str:
    return json.dumps(json.loads(evidence), ensure_ascii=False, indent=2) if evidence else ""


WRITERS: Final = {"json": as_json, "junit": as_junit, "html": as_html}


def write(files: dict[str, Path | None], results: Sequence[Result], about: About) -> None:
    """`files`: kind (of WRITERS) -> path, or None."""
    for kind, path in files.items():
        if path is not None:
            # a lone surrogate becomes its escape, which is valid JSON
            path.write_text(WRITERS[kind](results, about), "utf-8", errors="backslashreplace")
