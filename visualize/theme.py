"""All colours of the pictures: two themes, the chips, and the style sheet of SVG.

All text has a contrast of at least 4.5:1 with its background (WCAG 2.1 AA); a test checks the
tables.
"""

from dataclasses import dataclass, fields
from typing import Final, NamedTuple

from stepwell.visualize.service_names import letters

FONT: Final = "Arial"
FONTS: Final = "Arial, 'Liberation Sans', Helvetica, sans-serif"
LIGHT: Final = "light"
DARK: Final = "dark"
AUTO: Final = "auto"  # follows the reader's system
THEMES: Final = (LIGHT, DARK, AUTO)

# the statuses of a state: class names in SVG. "not-run": the execution has not reached it
RUNNING, SUCCEEDED, CAUGHT, FAILED, TIMED_OUT, ABORTED, NOT_RUN = (
    "running",
    "succeeded",
    "caught",
    "failed",
    "timed-out",
    "aborted",
    "not-run",
)
STATUSES: Final = (SUCCEEDED, FAILED, TIMED_OUT, CAUGHT, RUNNING, ABORTED, NOT_RUN)


class Look(NamedTuple):
    """The colours of a state with a status: its background, its border, and the badge's text."""

    fill: str
    line: str
    badge: str


@dataclass(frozen=True, slots=True)
class Theme:
    """A set of colours; `ink` is text, `idle` is for states and edges that have not run."""

    page: str  # behind the picture
    ink: str  # names of states
    muted: str  # the lines above and below them
    fill: str  # states without a status
    line: str
    edge: str
    catch: str  # edges of catchers
    cluster: str  # boxes of Parallel and Map
    cluster_line: str
    body: str  # boxes within boxes
    pill: str  # rules of a Choice
    pill_ink: str
    cap: str  # Start and End
    cap_ink: str
    idle_ink: str
    idle_edge: str
    idle_chip: str
    chip_ink: str
    statuses: dict[str, Look]


_LIGHT: Final = Theme(
    page="#ffffff", ink="#16191f", muted="#5f6b7a", fill="#ffffff", line="#7d8998", edge="#687078",
    catch="#c2410c",
    cluster="#f4f6fa", cluster_line="#b6bec9", body="#ffffff", pill="#eceff4", pill_ink="#4d5866",
    cap="#16191f", cap_ink="#ffffff",
    idle_ink="#647081", idle_edge="#b4bcc7", idle_chip="#6b7787", chip_ink="#ffffff",
    statuses={
        SUCCEEDED: Look("#ecf7ea", "#1a7302", "#1a7302"),
        FAILED: Look("#fdecea", "#b92b0f", "#b92b0f"),
        TIMED_OUT: Look("#fdecea", "#b92b0f", "#b92b0f"),
        CAUGHT: Look("#fff4e0", "#b45309", "#a64b06"),
        RUNNING: Look("#e6f2ff", "#0860b0", "#0860b0"),
        ABORTED: Look("#eceff3", "#5f6b7a", "#566270"),
        NOT_RUN: Look("#ffffff", "#aab3bf", "#647081"),
    },
)  # fmt: skip
_DARK: Final = Theme(
    page="#0f1720", ink="#eceff3", muted="#a3aebb", fill="#1b2530", line="#66768a", edge="#8d99a8",
    catch="#ff8a5c",
    cluster="#151e29", cluster_line="#3b4959", body="#1a242f", pill="#263341", pill_ink="#b8c2cd",
    cap="#eceff3", cap_ink="#16191f",
    idle_ink="#8593a3", idle_edge="#46535f", idle_chip="#55616e", chip_ink="#ffffff",
    statuses={
        SUCCEEDED: Look("#14301d", "#4ac26b", "#4ac26b"),
        FAILED: Look("#3a1714", "#ff6b5e", "#ff7b6f"),
        TIMED_OUT: Look("#3a1714", "#ff6b5e", "#ff7b6f"),
        CAUGHT: Look("#3a2a10", "#ffb454", "#ffb454"),
        RUNNING: Look("#0f2b47", "#539fe5", "#62a9ec"),
        ABORTED: Look("#222d38", "#8d99a8", "#9ba6b4"),
        NOT_RUN: Look("#1b2530", "#46535f", "#8593a3"),
    },
)  # fmt: skip


def theme(name: str) -> Theme:
    """The colours of "light" or "dark"; of "auto" the light ones, for formats without a style
    sheet.
    """
    return _DARK if name == DARK else _LIGHT


# --- chips: letters and colours, the same in both themes ------------------------------------------


class Chip(NamedTuple):
    letters: str
    colour: str


_ORANGE, _INDIGO, _PINK, _TEAL, _GREEN, _RED, _VIOLET, _MAGENTA, _SLATE = (
    "#c2570c", "#3b4fd0", "#c90f6b", "#0e7a85", "#1d8102", "#b3260b", "#7c3aed", "#a91fb0",
    "#55657d",
)  # fmt: skip
_TYPES: Final = {
    "Task": Chip("T", _SLATE),
    "Choice": Chip("?", _VIOLET),
    "Wait": Chip("W", _TEAL),
    "Succeed": Chip("S", _GREEN),
    "Fail": Chip("F", _RED),
    "Pass": Chip("P", _SLATE),
    "Parallel": Chip("||", _MAGENTA),
    "Map": Chip("≡", _MAGENTA),
}
_SERVICES: Final = {
    "lambda": Chip("λ", _ORANGE),
    "activity": Chip("A", _TEAL),
    "dynamodb": Chip("DB", _INDIGO),
    "rdsdata": Chip("RD", _INDIGO),
    "sqs": Chip("SQ", _PINK),
    "sns": Chip("SN", _PINK),
    "events": Chip("EV", _PINK),
    "eventbridge": Chip("EV", _PINK),
    "states": Chip("SF", _PINK),
    "sfn": Chip("SF", _PINK),
    "ecs": Chip("EC", _ORANGE),
    "batch": Chip("BA", _ORANGE),
    "eks": Chip("EK", _ORANGE),
    "http": Chip("HT", _TEAL),
    "apigateway": Chip("AG", _PINK),
    "s3": Chip("S3", _GREEN),
    "glue": Chip("GL", _VIOLET),
    "databrew": Chip("DW", _VIOLET),
    "athena": Chip("AT", _VIOLET),
    "elasticmapreduce": Chip("EM", _VIOLET),
    "emr-containers": Chip("EM", _VIOLET),
    "emr-serverless": Chip("EM", _VIOLET),
    "sagemaker": Chip("SM", _TEAL),
    "bedrock": Chip("BR", _TEAL),
    "bedrockruntime": Chip("BR", _TEAL),
    "codebuild": Chip("CB", _INDIGO),
    "mediaconvert": Chip("MC", _ORANGE),
}


def chip(type: str, service: str = "") -> Chip:
    """The chip of a state; a service that the table lacks has the letters of its name."""
    service = service.removeprefix("aws-sdk:")
    if type != "Task" or not service:
        return _TYPES[type]
    return _SERVICES.get(service) or Chip(letters(service), _SLATE)


# --- the style sheet ------------------------------------------------------------------------------

_PLAIN: Final = tuple(each.name for each in fields(Theme) if each.name != "statuses")
_RULES: Final = """\
.stepwell text { font-family: %(fonts)s }
.stepwell .box { fill: var(--sw-fill); stroke: var(--sw-line) }
.stepwell .name { fill: var(--sw-ink) }
.stepwell .label, .stepwell .note { fill: var(--sw-muted) }
.stepwell .frame { fill: var(--sw-cluster); stroke: var(--sw-cluster-line) }
.stepwell .branch .frame { fill: none }
.stepwell .join .box { fill: var(--sw-edge); stroke: var(--sw-edge) }
.stepwell .rule .box { fill: var(--sw-pill); stroke: var(--sw-pill) }
.stepwell .rule text { fill: var(--sw-pill-ink) }
.stepwell .jump .box { fill: var(--sw-page); stroke: var(--sw-edge) }
.stepwell .jump text { fill: var(--sw-pill-ink) }
.stepwell .cap .box { fill: var(--sw-cap); stroke: none }
.stepwell .cap text { fill: var(--sw-cap-ink) }
.stepwell .line { stroke: var(--sw-edge); fill: none }
.stepwell .arrow { fill: var(--sw-edge); stroke: var(--sw-edge) }
.stepwell .catch .line { stroke: var(--sw-catch) }
.stepwell .catch .arrow { fill: var(--sw-catch); stroke: var(--sw-catch) }
.stepwell .catch text { fill: var(--sw-catch) }
.stepwell .state[tabindex] { cursor: pointer; outline: none }
.stepwell .state[tabindex]:focus-visible .box { stroke-width: 3; stroke: var(--sw-running-line) }
.stepwell .pill { display: none }
.stepwell .pill[data-text] { display: inline }
.stepwell .pill rect { fill: var(--sw-page); stroke: var(--sw-muted) }
.stepwell .pill text { fill: var(--sw-ink) }
.stepwell .not-run .name, .stepwell .not-run .label,
.stepwell .not-run .note { fill: var(--sw-idle-ink) }
.stepwell .not-run .chip { fill: var(--sw-idle-chip) }
.stepwell .not-taken .line { stroke: var(--sw-idle-edge) }
.stepwell .not-taken .arrow,
.stepwell .join.not-taken .box { fill: var(--sw-idle-edge); stroke: var(--sw-idle-edge) }
.stepwell .join.bare .box { fill: none; stroke: none }
.stepwell .jump.not-taken .box { stroke: var(--sw-idle-edge) }
.stepwell .edge.not-taken text { fill: var(--sw-idle-ink) }
.stepwell .taken .line { stroke: var(--sw-succeeded-line); stroke-width: 2.2 }
.stepwell .taken .arrow { fill: var(--sw-succeeded-line); stroke: var(--sw-succeeded-line) }
.stepwell .rule.taken .box,
.stepwell .jump.taken .box { stroke: var(--sw-succeeded-line); stroke-width: 1.4 }
.stepwell .catch.taken .line { stroke: var(--sw-caught-line) }
.stepwell .catch.taken .arrow { fill: var(--sw-caught-line); stroke: var(--sw-caught-line) }
.stepwell .catch.taken text { fill: var(--sw-caught-badge) }
"""
_STATUS_RULES: Final = """\
.stepwell .state.{0} .box {{
  fill: var(--sw-{0}-fill); stroke: var(--sw-{0}-line); stroke-width: {1}
}}
.stepwell .state.{0} .badge {{ fill: var(--sw-{0}-badge) }}
.stepwell .composite.{0} .frame {{ stroke: var(--sw-{0}-line) }}
"""


def stylesheet(name: str = AUTO) -> str:
    """The CSS of pictures; a page with several needs it once. svg.py lists the classes.

    "auto" follows the reader's system, unless an element around the picture has data-theme="light"
    or "dark".
    """
    rules = _RULES % {"fonts": FONTS} + "".join(
        _STATUS_RULES.format(each, 1.2 if each == NOT_RUN else 1.8) for each in STATUSES
    )
    if name != AUTO:
        return f".stepwell {{ {_variables(theme(name))} }}\n{rules}"
    light, dark = _variables(_LIGHT), _variables(_DARK)
    system = f"@media (prefers-color-scheme: dark) {{ .stepwell {{ {dark} }} }}\n"
    forced = (
        f'[data-theme="light"] .stepwell {{ {light} }}\n[data-theme="dark"] .stepwell {{ {dark} '
        f"}}\n"
    )
    return f".stepwell {{ {light} }}\n{system}{forced}{rules}"


def _variables(colours: Theme) -> str:
    pairs = {name.replace("_", "-"): getattr(colours, name) for name in _PLAIN}
    for status, look in colours.statuses.items():
        pairs |= {f"{status}-{part}": colour for part, colour in look._asdict().items()}
    return "; ".join(f"--sw-{name}: {colour}" for name, colour in pairs.items())
