"""The order in which the states of one block are drawn, the transitions that close loops, and the
main path: the longest path without a Catch to a successful end. Pure.
"""

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeAlias

from stepwell.asl.definition import ChoiceState, State, SucceedState


class Transition(NamedTuple):
    """From a state to the state `target`.

    kind    "choice", "default", "next" or "catch"
    rule    of a Choice: the index in Choices, -1 for Default; else None
    errors  of a catch: the error names, in the order of the text
    """

    target: str
    kind: str
    rule: int | None = None
    errors: tuple[str, ...] = ()


Named: TypeAlias = tuple[str, Transition]  # (name of the state that it leaves, transition)


class Walk(NamedTuple):
    """A depth-first walk through a block.

    order  names of the states       back  transitions that close loops
    main   those of the main path    tree  those by which a state is reached first
    """

    order: list[str]
    back: set[Named]
    main: set[Named]
    tree: set[Named]


def transitions(state: State) -> list[Transition]:
    """All transitions of a state, in the order of the text. Catchers with the same target are one
    transition.
    """
    found: list[Transition] = []
    if isinstance(state, ChoiceState):
        found += [
            Transition(rule.next, "choice", index) for index, rule in enumerate(state.choices)
        ]
        found += [Transition(state.default, "default", -1)] if state.default is not None else []
    following = getattr(state, "next", None)
    if following is not None:
        found.append(Transition(following, "next"))
    caught: dict[str, tuple[str, ...]] = {}
    for catcher in getattr(state, "catch", ()):
        caught[catcher.next] = caught.get(catcher.next, ()) + catcher.error_equals
    return found + [
        Transition(target, "catch", None, tuple(dict.fromkeys(errors)))
        for target, errors in caught.items()
    ]


def is_last(state: State) -> bool:
    """Whether the block ends successfully after this state."""
    return isinstance(state, SucceedState) or getattr(state, "end", False)


def walk(states: Mapping[str, State], start: str) -> Walk:
    """Two walks: the first finds the loops, so that the main path can be measured; the second
    follows the main path first.
    """
    out = {
        name: [each for each in transitions(state) if each.target in states]
        for name, state in states.items()
    }
    first = _depth_first(out, start)
    main = _main_path(states, out, first, start)
    ahead = {
        name: sorted(found, key=lambda each: (name, each) not in main)
        for name, found in out.items()
    }
    second = _depth_first(ahead, start)
    return Walk(second.order, second.back, main, second.tree)


def _depth_first(out: Mapping[str, list[Transition]], start: str) -> Walk:
    """Without recursion: a machine may be a chain of thousands of states. Unreachable states come
    last.
    """
    order: list[str] = []
    back: set[Named] = set()
    tree: set[Named] = set()
    seen: set[str] = set()
    for root in (start, *sorted(out)):
        if root in seen or root not in out:
            continue
        seen.add(root)
        order.append(root)
        stack, on_stack = [(root, iter(out[root]))], {root}
        while stack:
            name, left = stack[-1]
            for each in left:
                if each.target in on_stack:
                    back.add((name, each))
                elif each.target not in seen:
                    tree.add((name, each))
                    seen.add(each.target)
                    order.append(each.target)
                    stack.append((each.target, iter(out[each.target])))
                    on_stack.add(each.target)
                    break
            else:
                stack.pop()
                on_stack.discard(name)
    return Walk(order, back, set(), tree)


def _main_path(
    states: Mapping[str, State], out: Mapping[str, list[Transition]], first: Walk, start: str
) -> set[Named]:
    forward = {
        name: [each for each in found if each.kind != "catch" and (name, each) not in first.back]
        for name, found in out.items()
    }
    best: dict[str, tuple[bool, int]] = {}  # state -> (leads to a successful end, length)
    chosen: dict[str, Transition] = {}
    for name in bottom_up(
        {name: [each.target for each in found] for name, found in forward.items()}
    ):
        best[name] = (is_last(states[name]), 0)
        for each in forward[name]:
            succeeds, length = best[each.target]
            if (succeeds, length + 1) > best[name]:
                best[name], chosen[name] = (succeeds, length + 1), each
    path: set[Named] = set()
    here = start
    while here in chosen:
        path.add((here, chosen[here]))
        here = chosen[here].target
    return path


def bottom_up(out: Mapping[str, Sequence[str]]) -> list[str]:
    """The nodes of a graph without loops, each after all its successors."""
    missing = {name: len(found) for name, found in out.items()}
    before: dict[str, list[str]] = {name: [] for name in out}
    for name, found in out.items():
        for target in found:
            before[target].append(name)
    order = [name for name, left in missing.items() if not left]
    for name in order:
        for earlier in before[name]:
            missing[earlier] -= 1
            if not missing[earlier]:
                order.append(earlier)
    return order
