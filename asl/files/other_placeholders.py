"""Placeholders of other tools: `{{Name}}`, `<Name>`, `$(Name)`, `@@Name@@`, `REPLACE_ME`.

Each of them is also plain text that a definition may have: it counts as a placeholder only where
the definition is not valid with it, or where its name has a value. Expressions have none of those
that are a part of their language.
"""

import re
from typing import Final

_DOTTED: Final = r"[A-Za-z_][\w.:/-]*"

# The first group with a text is the name. Lengths are bounded: no search takes long.
_ANYWHERE: Final = (
    r"%\{~?\s{0,9}((?:if|for)\b[^\"\n]{1,200}?)~?\}[^\"\n]{0,300}?"  # Terraform
    r"%\{~?\s{0,9}end(?:if|for)\s{0,9}~?\}",
    r"\{\{\{?-?\s{0,9}([^{}\"\n]{1,200}?)\s{0,9}-?\}?\}\}",  # Mustache, Handlebars, Jinja
    r"<%[=-]?\s{0,9}([^%\"\n]{1,200}?)\s{0,9}-?%>",  # ERB, EJS
    r"@@?([A-Za-z]\w*)@@?",  # Ant, CMake
    r"__([A-Za-z]\w*?)__",
    r"%\(([A-Za-z_]\w*)\)s",  # Python
    rf"\$\(({_DOTTED})\)",  # Azure Pipelines, make
    rf"\#\{{({_DOTTED})\}}",
)
_OUTSIDE_OF_EXPRESSIONS: Final = (
    rf"<({_DOTTED}(?: [\w.:/-]+)*)>",
    r"%([A-Z][A-Z0-9_]*)%",  # Windows
    r"\(\(([a-z][\w.:-]*)\)\)",  # Concourse
    r"\{([A-Za-z_]\w*)\}",  # Python
    r"\$\$?(?!LATEST\b)([A-Z][A-Z0-9_]+)\b\$*",  # shells
    r"\[([A-Z][A-Z0-9_ -]+)\]",
)
_WORD: Final = r"[A-Z][A-Z0-9]*(?:[_-][A-Z0-9]+)+|TODO|PLACEHOLDER|FIXME"

WORD: Final = re.compile(f"({_WORD})")
IN_EXPRESSIONS: Final = re.compile("|".join(_ANYWHERE))
IN_TEXTS: Final = re.compile("|".join((*_ANYWHERE, *_OUTSIDE_OF_EXPRESSIONS)))
OUTSIDE_OF_STRINGS: Final = re.compile(
    "|".join((*_ANYWHERE, *_OUTSIDE_OF_EXPRESSIONS[:3], *_OUTSIDE_OF_EXPRESSIONS[4:5]))
)
RESOURCE: Final = re.compile(rf'"?Resource"?\s*:\s*["\']?({_WORD})["\'\s]')
_EXPRESSION: Final = re.compile(r"\$|States\.")


def pattern(text: str) -> re.Pattern[str] | None:
    """What a string may have, by its begin; None for JSONata."""
    if text.startswith("{%"):
        return None
    return IN_EXPRESSIONS if _EXPRESSION.match(text) and text[1:2] in ".$[t" else IN_TEXTS


def name(match: re.Match[str]) -> str:
    return next(group for group in match.groups() if group).strip()


def occur(text: str) -> bool:
    """Whether the text of a file may have some."""
    return bool(IN_TEXTS.search(text) or RESOURCE.search(text))


def names(text: str) -> set[str]:
    """The names in the text of a file."""
    words = {name(match) for match in IN_TEXTS.finditer(text)}
    return words | {match[1] for match in RESOURCE.finditer(text)}
