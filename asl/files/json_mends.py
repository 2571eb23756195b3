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
        (r"[\u2018-\u201f\u00ab\u00bb]", 'write straight double quotes: "'),
        (r"```|~~~", "remove the fence of Markdown"),
        (r"[\u00a0\u2000-\u200f\u2028-\u202f\u2060\ufeff]", "remove this invisible character"),
        (r"<{7}|={7}|>{7}", "resolve the conflict of the merge"),
        (r"<[!?a-zA-Z]", "this is HTML or XML, not a definition"),
        (r"%\{|<%|\{[{%]", "fill in the template first: this is an instruction of another tool"),
        (r"\.\.\.|\u2026", "write what is left out here"),
        (r'\w?\s*"(aws|awscc)_\w+"', "this is Terraform: its files end in .tf"),
        (r"NaN|-?Infinity", "JSON has no such number"),
        (r"[A-Za-z_$][\w$]*\s*:", "write names in double quotes"),
        (r"\$\{", "the placeholder is not closed: add }"),
    )
)
_WORDS: Final = {
    "True": "write true in lower case",
    "False": "write false in lower case",
    "None": "write null",
    "undefined": "write null",
    **dict.fromkeys(
        ("export", "import", "const", "module"), "this is JavaScript: save the definition as JSON"
    ),
}
_TOKEN: Final = re.compile(r"Unrecognized token '(\w+)'")
_ESCAPE: Final = re.compile(r"\\\Z")
_UNCLOSED: Final = re.compile(r'[$#]\{[\w.:-]*\s*(?:[,"]|$)', re.MULTILINE)


def unclosed(text: str, offset: int) -> int | None:
    """The offset of a placeholder before another one that its line does not close."""
    found = _UNCLOSED.search(text, 0, offset)
    return found.start() if found else None


def mend(text: str, offset: int, message: str = "") -> str:
    """A sentence, or "". offset: of the unexpected text; message: of the error."""
    before, after = text[:offset], text[offset:]
    if after[:1] in ("}", "]") and _BEFORE.search(before):
        return "remove the comma before it"
    if after[:1] == '"' and re.search(r'["}\]\w]\s*\Z', before):
        return "a comma is missing before it"
    if after[:1] == ":" and _NAME.fullmatch(before):
        return "this is a part of a definition: complete it with StartAt and States"
    if _ESCAPE.search(before):
        return "a backslash is written as two"
    if after[:1] in ("{", "[") and before.rstrip()[-1:] in ("}", "]"):
        return "a file has one definition: remove what follows"
    if (word := _TOKEN.match(message)) and word[1] in _WORDS:
        return _WORDS[word[1]]
    if message.startswith("Illegal unquoted character") and before[-1:] == "\n":
        return "end the string in its line; \\n stands for a line break"
    return next((words for pattern, words in _MENDS if pattern.match(after)), "")
