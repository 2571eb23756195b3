"""What to do about a file that is almost JSON, by the place of the error."""

import re
from typing import Final

_BEFORE: Final = re.compile(r",\s*\Z")
_NAME: Final = re.compile(r'\s*"[^"]*"\s*')

# (what the text has at the error, the mend); the first that matches
_MENDS: Final[tuple[tuple[re.Pattern[str], str], ...]] = tuple(
    (re.compile(pattern), mend)
    for pattern, mend in (
        (r"//|/\*", "JSON has no comments: remove it, or use the field Comment"),
        (r"#", "JSON has no comments: remove it, or save the definition as YAML"),
        (r"'", "write strings in double quotes"),
        (r"%\{|<%|\{\{", "fill in the template first: this is an instruction of another tool"),
        (r"\.\.\.|\u2026", "write what is left out here"),
        (r'\w?\s*"(aws|awscc)_\w+"', "this is Terraform: save the definition in a file of its own"),
        (r"NaN|-?Infinity", "JSON has no such number"),
        (r"True|False", "write true and false in lower case"),
        (r"None|undefined", "write null"),
        (r"[A-Za-z_$][\w$]*\s*:", "write names in double quotes"),
    )
)


def mend(text: str, offset: int) -> str:
    """A sentence, or "". offset: of the unexpected text."""
    before, after = text[:offset], text[offset:]
    if after[:1] in ("}", "]") and _BEFORE.search(before):
        return "remove the comma before it"
    if after[:1] == '"' and re.search(r'["}\]\w]\s*\Z', before):
        return "a comma is missing before it"
    if after[:1] == ":" and _NAME.fullmatch(before):
        return "this is a part of a definition: complete it with StartAt and States"
    return next((words for pattern, words in _MENDS if pattern.match(after)), "")
