"""The text of a template file of Terraform, with its instructions carried out: `%{ if a }`,
`%{ else }`, `%{ endif }`, `%{ for each in list }`, `%{ endfor }`.

The lines of the text stay where they are, so that problems have their places: blank lines take the
place of a branch that is not taken, and all iterations but the first have no line breaks.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple, TypeAlias

from stepwell.asl.evaluation import Json
from stepwell.asl.files.definition_texts import is_yaml
from stepwell.asl.files.placeholders import PLACEHOLDER, Known, as_text
from stepwell.asl.files.templates.hcl_expressions import Find, Scope, evaluate

_INSTRUCTION: Final = re.compile(
    r'(?<!%)%\{(~?)\s*(if|else|endif|for|endfor)\b((?:[^"{}]|"(?:[^"\\]|\\.)*")*?)\s*(~?)\}',
    re.DOTALL,
)
_LOOP: Final = re.compile(r"\s*([\w-]+)(?:\s*,\s*([\w-]+))?\s+in\b(.*)", re.DOTALL)
_ENDS: Final = {"if": "endif", "for": "endfor"}


class _Block(NamedTuple):
    """branches: of an `if`, or the body of a `for`."""

    word: str
    expression: str
    branches: "list[list[_Part]]"


_Part: TypeAlias = str | _Block


class _UnknownError(Exception):
    """An instruction has no value, or is not closed."""


def template(
    content: bytes, filename: str, values: Mapping[str, Json], find: Find
) -> tuple[str | bytes, Find]:
    """The content of a file for templatefile, with its instructions carried out if they are known,
    and what its placeholders stand for, which are expressions.

    values, find  of the variables of the templatefile
    """
    scope = Scope.of(lambda name: Known(values[name]) if name in values else find(name))
    text = None
    if not is_yaml(filename):  # the layout of YAML would change
        text = rendered(content.decode("utf-8-sig", "replace"), scope)
    return content if text is None else text, lambda name: find(name) or evaluate(name, scope)


def rendered(text: str, scope: Scope) -> str | None:
    """None: it has no instructions, or one needs a name without a value. The other placeholders
    stay, outside of loops.
    """
    if not _INSTRUCTION.search(text):
        return None
    try:
        return "".join(_texts(_Reader(text).branches("")[0], scope, False))
    except (_UnknownError, RecursionError):
        return None


class _Reader:
    def __init__(self, text: str) -> None:
        self.text, self.at, self.trims = text, 0, False
        self.tokens = _INSTRUCTION.finditer(text)

    def branches(self, end: str) -> list[list[_Part]]:
        """The branches up to this instruction; up to the end of the text if it is ""."""
        branches: list[list[_Part]] = [[]]
        for token in self.tokens:
            branches[-1] += self._literal(token)
            word = token[2]
            if word == end:
                return branches
            if word == "else" and end == "endif":
                branches.append([])
            elif word in _ENDS:
                branches[-1].append(_Block(word, token[3], self.branches(_ENDS[word])))
            else:
                raise _UnknownError(word)
        if end:
            raise _UnknownError(end)
        branches[-1].append(self.text[self.at :])
        return branches

    def _literal(self, token: re.Match[str]) -> list[_Part]:
        """The text before an instruction, without the blanks at its ~, and its line breaks."""
        text = self.text[self.at : token.start()]
        text = text.lstrip(" \t") if self.trims else text
        self.at, self.trims = token.end(), bool(token[4])
        return [text.rstrip(" \t") if token[1] else text, "\n" * token[0].count("\n")]


def _texts(parts: list[_Part], scope: Scope, loop: bool) -> Iterator[str]:
    for part in parts:
        if isinstance(part, str):
            yield _filled(part, scope) if loop else part
        elif part.word == "if":
            known = evaluate(part.expression, scope)
            if known is None or not isinstance(known.value, bool):
                raise _UnknownError(part.expression)
            for number, branch in enumerate(part.branches):
                text = "".join(_texts(branch, scope, loop)) if number == (not known.value) else ""
                yield text or "\n" * _lines(branch)
        else:
            yield from _iterations(part, scope)


def _iterations(block: _Block, scope: Scope) -> Iterator[str]:
    match = _LOOP.fullmatch(block.expression)
    known = evaluate(match[3].strip(), scope) if match else None
    if match is None or known is None:
        raise _UnknownError(block.expression)
    try:
        inside = list(scope.loop(known.value, [each for each in (match[1], match[2]) if each]))
    except (TypeError, ValueError) as error:
        raise _UnknownError(block.expression) from error
    for number, each in enumerate(inside):
        text = "".join(_texts(block.branches[0], each, True))
        yield text.replace("\n", " ") if number else text
    if not inside:
        yield "\n" * _lines(block.branches[0])


def _lines(parts: list[_Part]) -> int:
    return sum(
        part.count("\n") if isinstance(part, str) else sum(map(_lines, part.branches))
        for part in parts
    )


def _filled(text: str, scope: Scope) -> str:
    """With the values of what is known: variables of loops are known here only."""

    def value(match: re.Match[str]) -> str:
        known = None if match[1] or match[3] is None else evaluate(match[3], scope)
        if known is None or isinstance(known.value, list | dict):
            return match[0]
        return as_text(known.value)

    return PLACEHOLDER.sub(value, text)
