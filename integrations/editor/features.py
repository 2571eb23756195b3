"""What an editor asks about a definition, in offsets of its text. Pure."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, Final, NamedTuple

from stepwell.asl import field_docs
from stepwell.integrations.editor import words
from stepwell.integrations.editor.outline import (
    TRANSITIONS,
    Block,
    block_of,
    blocks,
    fields_of,
    inner_blocks,
    shape_of,
    words_of,
)
from stepwell.integrations.editor.tree import (
    ARRAY,
    OBJECT,
    SCALAR,
    Member,
    Node,
    Spot,
    parse,
    spot,
    walk,
)

Range = tuple[int, int]

FIELD, STATE, WORD = "field", "state", "word"
_PROBE: Final = "stepwellProbe"  # stands for a key or value of YAML that is being written
_YAML_LINE: Final = re.compile(
    r"^(?P<lead>\s*(?:- +)*)(?:(?P<key>\"?[\w.]+\"?)\s*:\s+(?P<value>\S*)|(?P<word>[^\s:]*))$"
)
_PLAIN: Final = re.compile(r"[A-Za-z_][\w -]*[\w]|[A-Za-z_]")


class Proposal(NamedTuple):
    """One completion. text: replaces the range."""

    label: str
    kind: str
    text: str
    range: Range
    docs: str = ""


class Symbol(NamedTuple):
    """A state, with the states inside. range: the whole; name_range: its name."""

    name: str
    type: str
    range: Range
    name_range: Range
    inner: list[Symbol]


class Text:
    """A definition in an editor."""

    def __init__(self, text: str, is_yaml: bool) -> None:
        self.text, self.is_yaml = text, is_yaml
        self.root = parse(text, is_yaml)

    # --- states -----------------------------------------------------------------------------------

    def _named(self, offset: int) -> tuple[Block, str] | None:
        """The block and name of the state that is named at an offset, by its key or a target."""
        for block in blocks(self.root):
            for state in block.states:
                if state.key.start <= offset <= state.key.end:
                    return block, state.name
            for target in block.targets:
                if target.start <= offset <= target.end:
                    return block, target.text
        return None

    def definition(self, offset: int) -> Range | None:
        """Where the state is defined that a transition names."""
        if (named := self._named(offset)) is None:
            return None
        block, name = named
        state = block.state(name)
        return (state.key.start, state.key.end) if state is not None else None

    def references(self, offset: int, declaration: bool = True) -> list[Range]:
        """All places of the name of a state."""
        if (named := self._named(offset)) is None:
            return []
        block, name = named
        keys = [each.key for each in block.states if each.name == name] if declaration else []
        return sorted(
            (each.start, each.end)
            for each in (*keys, *(target for target in block.targets if target.text == name))
        )

    def renamed(self, offset: int, name: str) -> list[tuple[Range, str]]:
        text = self._quoted(name)
        return [(where, text) for where in self.references(offset)]

    def _quoted(self, text: str) -> str:
        if (
            self.is_yaml
            and _PLAIN.fullmatch(text)
            and text.lower() not in ("true", "false", "null")
        ):
            return text
        return json.dumps(text, ensure_ascii=False)

    def symbols(self) -> list[Symbol]:
        outer = next(blocks(self.root), None)
        return [self._symbol(each) for each in outer.states] if outer is not None else []

    def _symbol(self, state: Member) -> Symbol:
        end = state.value.end if state.value is not None else state.key.end
        inner = [
            self._symbol(each)
            for node in inner_blocks(state.value)
            for block in blocks(node)
            if block.node is node
            for each in block.states
        ]
        type_ = state.value.word("Type") if state.value is not None else ""
        name_range = (state.key.start, state.key.end)
        return Symbol(state.name or "?", type_, (state.key.start, end), name_range, inner)

    def foldings(self) -> Iterator[Range]:
        for node in walk(self.root):
            if node.kind != SCALAR and "\n" in self.text[node.start : node.end]:
                yield node.start, node.end

    # --- descriptions -----------------------------------------------------------------------------

    def hover(self, offset: int) -> tuple[str, Range] | None:
        """(Markdown, range) of what is at an offset."""
        at = spot(self.root, offset)
        if at.node is None:
            return None
        where = (at.node.start, at.node.end)
        if (named := self._named(offset)) is not None:
            state = named[0].state(named[1])
            return (_described(named[1], state.value), where) if state is not None else None
        shape, _, _ = shape_of(at)
        field = at.node.text if at.is_key else _field(at)
        if shape == "rule" and at.is_key and (docs := words.operator(field)):
            return f"**{field}**: {docs}", where
        if at.is_key and shape not in ("", "data", "state{}"):
            docs = field_docs.FIELDS.get(field)
            return (f"**{field}**: {docs}", where) if docs else None
        if field == "Type" and (docs := field_docs.TYPES.get(at.node.text)):
            return f"**{at.node.text}**: {docs}", where
        start, end = where
        word = None if at.is_key else words.word_at(self.text[start:end], offset - start)
        if word is None or (docs := words.meaning(word[0])) is None:
            return None
        return docs, (start + word[1][0], start + word[1][1])

    # --- completion -------------------------------------------------------------------------------

    def completions(self, offset: int) -> list[Proposal]:
        if self.is_yaml:
            return self._yaml_completions(offset)
        at = spot(self.root, offset)
        where = (at.node.start, at.node.end) if at.node is not None else (offset, offset)
        if at.node is None:
            start = offset
            while start and re.match(r"[\w\"]", self.text[start - 1]):
                start -= 1
            where = (start, offset)
        follows = re.match(r"\s*:", self.text[where[1] :])
        found = _proposals(at, self.root)
        return [
            each._replace(
                text=json.dumps(each.text) + (": " if at.is_key and not follows else ""),
                range=where,
            )
            for each in found
        ]

    def _yaml_completions(self, offset: int) -> list[Proposal]:
        """The line is replaced by one that is complete: then YAML can be read."""
        start = self.text.rfind("\n", 0, offset) + 1
        end = self.text.find("\n", offset)
        end = len(self.text) if end < 0 else end
        match = _YAML_LINE.match(self.text[start:offset])
        if match is None:
            return []
        lead, key = match["lead"], match["key"]
        written = match["value"] if key else match["word"]
        where = (offset - len(written), end if self.text[offset:end].isalnum() else offset)
        # a value, or an item, or else a key
        lines = [f"{lead}{key}: {_PROBE}"] if key else [f"{lead}{_PROBE}"] if "-" in lead else []
        for line, back in (*((each, 0) for each in lines), (f"{lead}{_PROBE}: x", 3)):
            root = parse(self.text[:start] + line + self.text[end:], is_yaml=True)
            at = spot(root, start + len(line) - back)
            found = [each for each in _proposals(at, root) if each.label != _PROBE]
            if found or key:
                break
        return [
            each._replace(
                text=each.text + ": " if at.is_key else self._quoted(each.text), range=where
            )
            for each in found
        ]


def _field(at: Spot) -> str:
    """The field whose value, or an item of it, is at a spot."""
    for node, member in reversed(at.parents[-2:]):
        if member is not None:
            return member.name
        if node.kind == OBJECT:
            break
    return ""


def _proposals(at: Spot, root: Node) -> list[Proposal]:
    if not at.parents:
        return []
    shape, node, language = shape_of(at)
    fields = fields_of(shape, node, language)
    if at.is_key:
        written = at.node.text if at.node is not None else None
        present = {each.name for each in node.members if each.name != written}
        return [
            Proposal(name, FIELD, name, (0, 0), field_docs.FIELDS.get(name, ""))
            for name in fields
            if name not in present
        ]
    field = _field(at)
    if field in TRANSITIONS and shape in ("machine", "state", "rule", "catcher"):
        block = block_of(root, at)
        own = at.parents[-1][0]
        return [
            Proposal(each.name, STATE, each.name, (0, 0))
            for each in (block.states if block is not None else ())
            if each.value is not own
        ]
    outer = shape_of(Spot(at.parents[:-1], None, False))[0] if node.kind == ARRAY else shape
    if outer in ("state", "retrier", "catcher") and (known := [*words.proposals(field)]):
        return [Proposal(value, WORD, value, (0, 0), docs) for value, docs in known]
    docs: Any = field_docs.TYPES if field == "Type" else {}
    values = dict.fromkeys(words_of(fields.get(field)))
    if field == "Type" and shape == "state":
        values = dict.fromkeys(field_docs.TYPES)
    return [Proposal(word, WORD, word, (0, 0), docs.get(word, "")) for word in values]


def _described(name: str, state: Node | None) -> str:
    if state is None or state.kind != OBJECT:
        return f"**{name}**"
    lines = [f"**{name}**: {state.word('Type') or 'no Type'}"]
    lines += [f"`{state.word(each)}`" for each in ("Resource",) if state.word(each)]
    lines += [state.word("Comment")] if state.word("Comment") else []
    return "\n\n".join(lines)
