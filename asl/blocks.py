"""The blocks of a valid definition, as parsed JSON: the machine itself, the branches of Parallels
and the processors of Maps. (Validation and inference read definitions that may be invalid.)
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from stepwell.asl.json_text import item, member

PROCESSORS: Final = ("ItemProcessor", "Iterator")  # of a Map; the second is the older name

Block = Mapping[str, Any]


def inner_blocks(state: Block) -> list[Block]:
    """The branches of a Parallel, the processor of a Map: in the order of compiler.py."""
    return [block for block, _ in located_blocks(state)]


def located_blocks(state: Block, at: str = "") -> list[tuple[Block, str]]:
    """The same with their locations; at: that of the state."""
    branches = enumerate(state.get("Branches", ()))
    return [
        *((branch, item(member(at, "Branches"), index)) for index, branch in branches),
        *((state[field], member(at, field)) for field in PROCESSORS if field in state),
    ]


def every_state(block: Block) -> Iterator[tuple[str, Block]]:
    """(name, state) at any depth, in the order of the definition."""
    return ((name, state) for name, state, _ in located_states(block))


def located_states(block: Block, at: str = "") -> Iterator[tuple[str, Block, str]]:
    """(name, state, location) at any depth, in the order of the definition."""
    for name, state in block.get("States", {}).items():
        here = member(f"{at}/States", name)
        yield name, state, here
        for inner, where in located_blocks(state, here):
            yield from located_states(inner, where)
