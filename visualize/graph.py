"""Definition -> Graph: what a picture of a state machine consists of, without saying how it looks.
Pure.

    StateMachine --build--> Graph: nodes, edges, boxes

Every state is one node. A Choice has one small node more for each rule and its default; a Parallel
or Map has a box around a header node (the state itself), its branches or body, and a join. An edge
over very many levels ends at a small node that names its target, a jump.
Nodes stand in the order of a depth-first walk from StartAt that takes the main path first, so the
order of keys in the text changes nothing. An edge is `back` if it closes a loop: all others lead
down, in any layout.

The main path is the longest way to a good end that no Catch is on.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

from stepwell.asl.definition import (
    Branch,
    ChoiceState,
    MapState,
    ParallelState,
    StateMachine,
    SucceedState,
    _State,
)
from stepwell.asl.json_text import item, member
from stepwell.visualize.conditions import rule_text
from stepwell.visualize.words import (
    count,
    is_distributed,
    parsed,
    processor,
    retries_label,
    state_label,
)

START: Final = "start"
END: Final = "end"
MAIN, CHOICE_WEIGHT, ORDINARY, MERGE = 100, 8, 4, 1  # how straight an edge wants to be
# levels: an edge over more of them cannot be followed by eye, and costs the layout most of its time
FAR: Final = 24


@dataclass(frozen=True, slots=True)
class Node:
    """One thing in the picture.

    id    of the element, unique and the same on every run         kind   "state", "rule", "join",
          "jump", "start" or "end" state the state that it is (part of), "" for start and end
          type   the state's Type
    path  where the state stands in the definition, as a JSON Pointer:
          /States/Ship/Branches/0/States/Pack title its name; of a rule its text; of a jump the name
          that it leads to        label, note  the words above and below the title, or ""
    rule  index in Choices, -1 for Default; only of rules           number  of the rule, from 1, if
          they are numbered, else 0
    service  of a Task, as in its Resource: "lambda", "aws-sdk:s3", "activity", ""
    composite  it is the header of a box          hidden  states inside, if its box is collapsed
    bare  a join that nothing leads to: it is not drawn, and what leaves it leaves the box
    """

    id: str
    kind: str
    state: str = ""
    type: str = ""
    path: str = ""
    title: str = ""
    label: str = ""
    note: str = ""
    rule: int | None = None
    number: int = 0
    service: str = ""
    composite: bool = False
    hidden: int = 0
    bare: bool = False


@dataclass(frozen=True, slots=True)
class Edge:
    """From the node `tail` to the node `head`.

    kind    start, next, choice, default, catch, end, enter (header -> first state of a branch),
            leave (last state -> join), or "" for one that is not drawn and only keeps an order
    source, target  names of the states at its ends: those of the transition, so a rule's two halves
                    have the same; "" for start and end
    rule    as of Node                          errors  of a catch, in the order of the text
    back    it closes a loop                    weight  how much it wants to be short and straight
    """

    id: str
    tail: str
    head: str
    kind: str
    source: str = ""
    target: str = ""
    rule: int | None = None
    errors: tuple[str, ...] = ()
    back: bool = False
    weight: int = ORDINARY


@dataclass(slots=True)
class Box:
    """A frame: kind "root" (none drawn), "state" (a Parallel or Map) or "branch" (state: its
    first).

    content  ids of nodes, and boxes, in order
    """

    id: str
    kind: str
    state: str = ""
    distributed: bool = False
    content: list["str | Box"] = field(default_factory=list)

    @property
    def boxes(self) -> list["Box"]:
        return [each for each in self.content if isinstance(each, Box)]

    def walk(self) -> Iterator["Box"]:
        """Itself and all boxes in it."""
        yield self
        for each in self.boxes:
            yield from each.walk()

    def nodes(self) -> Iterator[str]:
        """The ids of all nodes in it, at any depth."""
        for each in self.content:
            yield from each.nodes() if isinstance(each, Box) else (each,)


@dataclass(slots=True)
class Graph:
    """nodes by id, in the order of the walk; edges; root, the outermost box."""

    definition: StateMachine
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    root: Box = field(default_factory=lambda: Box("root", "root"))

    @property
    def states(self) -> dict[str, Node]:
        """The nodes that are states, by name."""
        return {node.state: node for node in self.nodes.values() if node.kind == "state"}


def build(definition: StateMachine, collapse: Collection[str] = ()) -> Graph:
    """The graph of a valid definition. collapse: names of Parallel and Map states whose inside is
    left out.
    """
    return _Builder(definition, frozenset(collapse)).graph


# --- one block of states --------------------------------------------------------------------------


class Step(NamedTuple):
    """A transition out of a state. rule: as of Node, None if it is none of a Choice."""

    target: str
    kind: str
    rule: int | None = None
    errors: tuple[str, ...] = ()


def steps(state: _State) -> list[Step]:
    """Where a state may go, in the order of the text; catchers with the same target are one
    step.
    """
    found: list[Step] = []
    if isinstance(state, ChoiceState):
        found += [Step(rule.next, "choice", index) for index, rule in enumerate(state.choices)]
        found += [Step(state.default, "default", -1)] if state.default is not None else []
    following = getattr(state, "next", None)
    if following is not None:
        found.append(Step(following, "next"))
    caught: dict[str, tuple[str, ...]] = {}
    for catcher in getattr(state, "catch", ()):
        caught[catcher.next] = caught.get(catcher.next, ()) + catcher.error_equals
    return found + [
        Step(target, "catch", None, tuple(dict.fromkeys(errors)))
        for target, errors in caught.items()
    ]


def is_last(state: _State) -> bool:
    """Whether its block ends well after it."""
    return isinstance(state, SucceedState) or getattr(state, "end", False)


class Walk(NamedTuple):
    """A block in order: names depth-first, the steps that close loops, those of the main path,
    those by which a state is reached first.
    """

    order: list[str]
    back: set[tuple[str, Step]]
    main: set[tuple[str, Step]]
    tree: set[tuple[str, Step]]


def walk(states: Mapping[str, _State], start: str) -> Walk:
    """Two walks: the first finds loops, so that the main path can be measured; the second takes the
    main path first.
    """
    out = {
        name: [step for step in steps(state) if step.target in states]
        for name, state in states.items()
    }
    first = _depth_first(out, start)
    main = _main_path(states, out, first, start)
    ahead = {
        name: sorted(found, key=lambda step: (name, step) not in main)
        for name, found in out.items()
    }
    second = _depth_first(ahead, start)
    return Walk(second.order, second.back, main, second.tree)


def _depth_first(out: Mapping[str, list[Step]], start: str) -> Walk:
    """Without recursion: a machine may be a chain of thousands of states. What cannot be reached
    comes last.
    """
    order: list[str] = []
    back: set[tuple[str, Step]] = set()
    tree: set[tuple[str, Step]] = set()
    seen: set[str] = set()
    for root in (start, *sorted(out)):
        if root in seen or root not in out:
            continue
        seen.add(root)
        order.append(root)
        stack, on_stack = [(root, iter(out[root]))], {root}
        while stack:
            name, left = stack[-1]
            for step in left:
                if step.target in on_stack:
                    back.add((name, step))
                elif step.target not in seen:
                    tree.add((name, step))
                    seen.add(step.target)
                    order.append(step.target)
                    stack.append((step.target, iter(out[step.target])))
                    on_stack.add(step.target)
                    break
            else:
                stack.pop()
                on_stack.discard(name)
    return Walk(order, back, set(), tree)


def _main_path(
    states: Mapping[str, _State], out: Mapping[str, list[Step]], first: Walk, start: str
) -> set[tuple[str, Step]]:
    forward = {
        name: [step for step in found if step.kind != "catch" and (name, step) not in first.back]
        for name, found in out.items()
    }
    best: dict[str, tuple[bool, int]] = {}  # ends well, length
    chosen: dict[str, Step] = {}
    for name in _bottom_up(
        {name: [step.target for step in found] for name, found in forward.items()}
    ):
        best[name] = (is_last(states[name]), 0)
        for step in forward[name]:
            well, length = best[step.target]
            if (well, length + 1) > best[name]:
                best[name], chosen[name] = (well, length + 1), step
    path: set[tuple[str, Step]] = set()
    here = start
    while here in chosen:
        step = chosen[here]
        path.add((here, step))
        here = step.target
    return path


def _bottom_up(out: Mapping[str, Sequence[str]]) -> list[str]:
    """The nodes of a graph without loops, each after all that it leads to."""
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


# --- the whole graph ------------------------------------------------------------------------------


class _Builder:
    def __init__(self, definition: StateMachine, collapse: frozenset[str]) -> None:
        self.collapse = collapse
        self.graph = Graph(definition)
        self.slugs: dict[str, str] = {}
        self.taken: set[str] = set()
        self.joins: dict[str, str] = {}  # name of a composite -> id of its join
        nodes = self.graph.nodes
        nodes[START] = Node(START, "start", title="Start")
        self.graph.root.content.append(START)
        ends = self.block(definition, self.graph.root, "")
        if ends:
            nodes[END] = Node(END, "end", title="End")
            self.graph.root.content.append(END)
        self.edge(
            START,
            f"state-{self.slug(definition.start_at)}",
            "start",
            target=definition.start_at,
            weight=MAIN,
        )
        for name, weight in ends:
            self.edge(
                self.joins.get(name, f"state-{self.slug(name)}"),
                END,
                "end",
                source=name,
                weight=weight,
            )
        self.jumps()

    def slug(self, name: str) -> str:
        """A name in letters that need no escaping anywhere; of names that become the same, the
        later ones in the walk get numbers.
        """
        if name not in self.slugs:
            plain = re.sub(r"[^A-Za-z0-9]+", "-", name).strip("-") or "x"
            slug, number = plain, 2
            while slug in self.taken:
                slug, number = f"{plain}-{number}", number + 1
            self.slugs[name] = slug
            self.taken.add(slug)
        return self.slugs[name]

    def edge(self, tail: str, head: str, kind: str, **more: object) -> None:
        self.graph.edges.append(
            Edge(f"edge-{kind or 'order'}--{tail}--{head}", tail, head, kind, **more)  # type: ignore[arg-type]
        )

    def block(self, block: Branch | StateMachine, box: Box, path: str) -> list[tuple[str, int]]:
        """Add a block's states to a box. Returns the states after which it ends, with the weight of
        the edge from there.
        """
        order = walk(block.states, block.start_at)
        for name in order.order:
            self.state(name, block.states[name], box, member(f"{path}/States", name))
        for name in order.order:
            self.transitions(name, block.states[name], order, box)
        straight = {block.start_at} | {step.target for _, step in order.main}
        return [
            (name, MAIN if name in straight else MERGE)
            for name in order.order
            if is_last(block.states[name])
        ]

    def state(self, name: str, state: _State, box: Box, path: str) -> None:
        slug, kind = self.slug(name), state.type  # type: ignore[attr-defined]
        composite, hidden, label = (
            isinstance(state, ParallelState | MapState),
            0,
            state_label(state),
        )
        if composite and name in self.collapse:
            composite, hidden = False, sum(1 for _ in _inside(state))
            label = f"{label} · {count(hidden, 'state')}"
        service = service_of(getattr(state, "resource", ""))
        node = Node(
            f"state-{slug}",
            "state",
            name,
            kind,
            path,
            name,
            label,
            retries_label(state),
            None,
            0,
            service,
            composite,
            hidden,
        )
        self.graph.nodes[node.id] = node
        if not composite:
            box.content.append(node.id)
            return
        own = Box(
            f"box-{slug}",
            "state",
            name,
            isinstance(state, MapState) and is_distributed(state),
            [node.id],
        )
        box.content.append(own)
        join = Node(f"join-{slug}", "join", name, kind, path)
        self.joins[name] = join.id
        branches = list(self.branches(state, path, slug))
        spine = _spine([branch for branch, _, _ in branches])
        for branch, at, frame in branches:
            if frame is not None:
                own.content.append(frame)
            self.body(
                name,
                node.id,
                join.id,
                branch,
                frame or own,
                at,
                MAIN if branch is spine else ORDINARY,
            )
        reached = any(edge.head == join.id and edge.kind for edge in self.graph.edges)
        self.graph.nodes[join.id] = replace(join, bare=not reached)
        own.content.append(join.id)

    def branches(
        self, state: _State, path: str, slug: str
    ) -> Iterator[tuple[Branch, str, Box | None]]:
        """The blocks in a Parallel or Map, where they stand, and the frame of each."""
        if isinstance(state, ParallelState):
            for index, branch in enumerate(state.branches):
                yield (
                    branch,
                    item(f"{path}/Branches", index),
                    Box(f"branch-{slug}-{index}", "branch", branch.start_at),
                )
        elif isinstance(state, MapState) and (inner := processor(state)) is not None:
            yield (
                inner,
                f"{path}/{'ItemProcessor' if state.item_processor is not None else 'Iterator'}",
                None,
            )

    def body(
        self, name: str, header: str, join: str, block: Branch, box: Box, path: str, straight: int
    ) -> None:
        first = len(self.graph.edges)
        ends = self.block(block, box, path)
        start = f"state-{self.slug(block.start_at)}"
        self.edge(header, start, "enter", source=name, target=block.start_at, weight=straight)
        for last, weight in ends:
            self.edge(
                self.joins.get(last, f"state-{self.slug(last)}"),
                join,
                "leave",
                source=last,
                target=name,
                weight=min(weight, straight),
            )
        # nothing may hang below the join: Fail states and the ends of endless loops are kept above
        # it
        onward = {edge.tail for edge in self.graph.edges[first:] if not edge.back}
        for each in box.nodes():
            if each not in onward and each != header:
                self.edge(each, join, "", weight=MERGE)

    def transitions(self, name: str, state: _State, order: Walk, box: Box) -> None:
        tail = self.joins.get(name, f"state-{self.slug(name)}")
        rules = list(steps(state)) if isinstance(state, ChoiceState) else []
        found = [step for step in steps(state) if step.target in self.slugs]
        for step in sorted(found, key=lambda each: each.kind == "catch"):
            here = (name, step)
            back, main = here in order.back, here in order.main
            weight = (
                MAIN
                if main
                else MERGE
                if back or step.kind == "catch" or here not in order.tree
                else ORDINARY
            )
            shared = {"source": name, "target": step.target, "back": back, "rule": step.rule}
            head = f"state-{self.slug(step.target)}"
            if not rules:
                self.edge(tail, head, step.kind, weight=weight, errors=step.errors, **shared)
                continue
            number = (
                step.rule + 1
                if step.rule is not None
                and step.rule >= 0
                and len(state.choices) > 1  # type: ignore[attr-defined]
                and len(rules) > 2
                else 0
            )
            rule = self.rule(name, state, step, number)
            box.content.append(rule)
            self.edge(
                tail,
                rule,
                step.kind,
                weight=MAIN if main else CHOICE_WEIGHT,
                **{**shared, "back": False},
            )
            self.edge(rule, head, step.kind, weight=weight, **shared)

    def rule(self, name: str, state: _State, step: Step, number: int) -> str:
        assert isinstance(state, ChoiceState) and step.rule is not None
        default = step.rule < 0
        text = "default" if default else rule_text(state.choices[step.rule])
        id = f"rule-{self.slug(name)}-{'default' if default else step.rule + 1}"
        self.graph.nodes[id] = Node(
            id, "rule", name, "Choice", title=text, rule=step.rule, number=number
        )
        return id

    def jumps(self) -> None:
        """Let edges over too many levels end at a node that names the target."""
        levels = _levels(self.graph)
        homes = {
            id: box for box in self.graph.root.walk() for id in box.content if isinstance(id, str)
        }
        edges, self.graph.edges = self.graph.edges, []
        for edge in edges:
            if (
                abs(levels[edge.head] - levels[edge.tail]) <= FAR
                or edge.weight == MAIN
                or edge.kind == "leave"
            ):
                self.graph.edges.append(edge)
            elif edge.kind:
                title = edge.target or "End"
                jump = Node(
                    f"jump-{edge.kind}-{edge.tail}--{edge.head}", "jump", edge.source, title=title
                )
                self.graph.nodes[jump.id] = jump
                homes[edge.tail].content.append(jump.id)
                self.graph.edges.append(replace(edge, head=jump.id, back=False))


def _levels(graph: Graph) -> dict[str, int]:
    """How far down each node stands at least: the longest way to it without closing loops."""
    out: dict[str, list[str]] = {id: [] for id in graph.nodes}
    for edge in graph.edges:
        if not edge.back:
            out[edge.tail].append(edge.head)
    levels = dict.fromkeys(graph.nodes, 0)
    for id in reversed(_bottom_up(out)):
        for head in out[id]:
            levels[head] = max(levels[head], levels[id] + 1)
    return levels


def _spine(branches: Sequence[Branch]) -> Branch | None:
    """The branch that header and join are in line with: the largest; of equal ones, the one in the
    middle.
    """
    sizes = [
        sum(1 + sum(1 for _ in _inside(state)) for state in branch.states.values())
        for branch in branches
    ]
    largest = [branch for branch, size in zip(branches, sizes) if size == max(sizes)]
    return largest[len(largest) // 2] if largest else None


def _inside(state: _State) -> Iterator[_State]:
    """The states inside a Parallel or Map, at any depth."""
    blocks: tuple[Branch | None, ...] = state.branches if isinstance(state, ParallelState) else ()
    if isinstance(state, MapState):
        blocks = (processor(state),)
    for block in blocks:
        for each in block.states.values() if block is not None else ():
            yield each
            yield from _inside(each)


def service_of(resource: str) -> str:
    """The service of a Task's Resource, "" if it is none of AWS's."""
    about = parsed(resource)
    return about.service if about is not None else ""
