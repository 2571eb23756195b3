"""Instructions of template languages outside of strings: `%{ if a }...%{ endif }` of Terraform,
`{% for %}` of Jinja, `{{#if}}` of Handlebars, `<% if %>` of ERB.

Their values are not known. Of an `if` one branch is read, of a loop one iteration: the first choice
with which the text is JSON. The rest becomes blanks, so that places stay.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Final, NamedTuple

from stepwell.asl.files.placeholders import PLACEHOLDER

_OPEN, _ELSE, _CLOSE, _ALONE = "open", "else", "close", "alone"
_TOKENS: Final = tuple(
    (kind, re.compile(pattern, re.DOTALL))
    for kind, pattern in (
        (_OPEN, r"%\{~?\s*(?:if|for)\b.{0,400}?\}"),  # Terraform
        (_ELSE, r"%\{~?\s*else\s*~?\}"),
        (_CLOSE, r"%\{~?\s*end(?:if|for)\s*~?\}"),
        (_OPEN, r"\{%[-+]?\s*(?:if|for|block|macro|filter|with)\b.{0,400}?%\}"),  # Jinja
        (_ELSE, r"\{%[-+]?\s*(?:else|elif|elsif)\b.{0,400}?%\}"),
        (_CLOSE, r"\{%[-+]?\s*end\w*\s*[-+]?%\}"),
        (_ALONE, r"\{%.{0,400}?%\}|\{#.{0,400}?#\}"),
        (_ELSE, r"\{\{~?\s*else\b.{0,400}?\}\}|\{\{\^\}\}"),  # Handlebars, Mustache
        (_OPEN, r"\{\{~?\s*[#^].{0,400}?\}\}"),
        (_CLOSE, r"\{\{~?\s*/.{0,400}?\}\}"),
        (_ALONE, r"\{\{~?\s*[!>].{0,400}?\}\}"),
        (_ELSE, r"<%-?\s*(?:else|elsif)\b.{0,400}?%>|<%-?\s*\}\s*else\b.{0,400}?%>"),  # ERB, EJS
        (_CLOSE, r"<%-?\s*(?:end\b.{0,400}?|\}\)?;?\s*)-?%>"),
        (
            _OPEN,
            r"<%-?\s*(?:if|unless|for|while)\b.{0,400}?%>|<%-?\s*[^=#%][^%]{0,200}?(?:\bdo\b[^%]{0,200}|=>\s*\{)\s*-?%>",
        ),
        (_ALONE, r"<%[-#]?(?!=).{0,400}?%>"),
    )
)
_NEXT: Final = re.compile(r'"|%\{|\{[%#{]|<%|\$\{')
_STRING_TOKEN: Final = re.compile(r'\\.|"|\$', re.DOTALL)
_MOST: Final = 8  # instructions whose branches are varied
_TEXTS: Final = 64  # choices that are tried
_SEPARATOR: Final = re.compile(r"[\s,]*")


class Instruction(NamedTuple):
    """offset: in the text."""

    offset: int
    written: str


@dataclass(slots=True)
class _Block:
    """branches: their spans; also an empty one, for an `if` without an `else`."""

    branches: list[tuple[int, int]] = field(default_factory=list)
    start: int = 0  # of the open branch
    begin: int = 0


class Blocks:
    """The instructions of a text."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.instructions: list[Instruction] = []
        self._spans: list[tuple[int, int]] = []
        self._blocks: list[_Block] = []
        self._read()

    def _read(self) -> None:
        opened: list[_Block] = []
        at = 0
        while token := _NEXT.search(self.text, at):
            at = token.start()
            if token[0] == '"':
                at = self._after_string(at)
                continue
            if token[0] == "${":
                match = PLACEHOLDER.match(self.text, at)
                at = match.end() if match else token.end()
                continue
            kind, end = self._token(at)
            if kind is None:
                at = token.end()
                continue
            self._spans.append((at, end))
            self.instructions.append(Instruction(at, self.text[at:end]))
            if kind == _OPEN:
                opened.append(_Block(start=end, begin=at))
            elif opened and kind != _ALONE:
                opened[-1].branches.append((opened[-1].start, at))
                opened[-1].start = end
                if kind == _CLOSE:
                    self._blocks.append(opened.pop())
            at = end

    def _token(self, at: int) -> tuple[str | None, int]:
        for kind, pattern in _TOKENS:
            if match := pattern.match(self.text, at):
                return kind, match.end()
        return None, at

    def _after_string(self, at: int) -> int:
        at += 1
        while token := _STRING_TOKEN.search(self.text, at):
            at = token.end()
            if token[0] == '"':
                return at
            if token[0] == "$" and (match := PLACEHOLDER.match(self.text, token.start())):
                at = match.end()
        return len(self.text)

    def texts(self) -> Iterator[str]:
        """The text with blanks for the instructions and for the branches that are not read."""
        if not self._spans:
            return
        # first without the separators between iterations: one iteration is read
        varied = sorted(self._blocks, key=self._is_separator)[-_MOST:]
        choices = []
        for block in varied:
            branches = range(len(block.branches))
            choices.append([-1, *branches] if self._is_separator(block) else [*branches, -1])
        for chosen in islice(product(*choices), _TEXTS):
            yield self._chosen(dict(zip(map(id, varied), chosen)))

    def _is_separator(self, block: _Block) -> bool:
        return all(_SEPARATOR.fullmatch(self.text, *span) for span in block.branches)

    def _chosen(self, chosen: dict[int, int]) -> str:
        text = list(self.text)

        def blank(start: int, end: int) -> None:
            text[start:end] = [each if each == "\n" else " " for each in text[start:end]]

        for span in self._spans:
            blank(*span)
        for block in self._blocks:
            keep = chosen.get(id(block), -1 if self._is_separator(block) else 0)
            for number, span in enumerate(block.branches):
                if number != keep:
                    blank(*span)
        return "".join(text)
