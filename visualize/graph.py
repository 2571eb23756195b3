"""Definition -> Graph: the elements of the picture of a state machine, without their layout and
colours. Pure.

    StateMachine --build--> Graph: nodes, edges, boxes

Each state is one node. A Choice also has a small node for each rule and for its default. A Parallel
or Map is a box that contains a header node (the state itself), its branches or body, and a join. A
forward edge over more than FAR levels ends at a jump: a small node that names the target.
Nodes are in the order of walk.py, so the order of keys in the text does not matter. An edge that
closes a loop is marked `back`; all others lead down, in any layout.
"""

import re
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

from stepwell.asl.definition import (
    Branch,
    ChoiceState,
    MapState,
    ParallelState,
    State,
    StateMachine,
)
from stepwell.asl.json_text import item, member
from stepwell.visualize.walk import Transition, Walk, bottom_up, is_last, transitions, walk
from stepwell.visualize.words.labels import parsed
from stepwell.visualize.words.states import (
    is_distributed,
    processor,
    retries_label,
    rule_text,
    state_label,
)
from stepwell.visualize.words.texts import count

START: Final = "start"
END: Final = "end"
SIDE: Final = "side"  # a box around one of several machines in a picture
MAIN, CHOICE_WEIGHT, ORDINARY, MERGE = 100, 8, 4, 1  # weights: heavier edges are drawn straighter
# levels: a longer edge cannot be followed by eye, and takes most of the time of the layout
FAR: Final = 24


@dataclass(frozen=True, slots=True)
class Node:
    """One element of the picture.

    id         of the element: unique, and the same on every run
    kind       "state", "rule", "join", "jump", "start" or "end"
    state      the name of the state that it belongs to, "" for start and end
    type       the state's Type
    path       the state's location in the definition: /States/Ship/Branches[0]/States/Pack
    title      the state's name; of a rule its text; of a jump the name of the target
    label      the line above the title, or ""
    note       the line below the title, or ""
    rule       of a rule: its index in Choices, -1 for Default
    number     of a rule: counted from 1, 0 if rules are not numbered
    service    of a Task, as in its Resource: "lambda", "aws-sdk:s3", "activity", ""
    composite  whether it is the header of a box
    hidden     the number of states inside, if its box is collapsed
    bare       of a join without incoming edges: it is not drawn, its edges start at the box
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
            leave (last state -> join), or "" for an invisible edge that only orders nodes
    source  name of the state that the transition leaves, "" for start; the edges into and out of
            a rule both have the transition's source and target
    target  name of the state that it enters, "" for end
    rule    as of Node
    errors  of a catch, in the order of the text
    back    whether it closes a loop
    weight  heavier edges are drawn shorter and straighter
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
    """A frame around nodes.

    kind     "root" (not drawn), "state" (a Parallel or Map), "branch" or SIDE
    state    the name of the Parallel or Map; of a branch the name of its first state; of a side
             its title
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
        """This box and all boxes in it, at any depth."""
        yield self
        for each in self.boxes:
            yield from each.walk()

    def nodes(self) -> Iterator[str]:
        """The ids of all nodes in it, at any depth."""
        for each in self.content:
            yield from each.nodes() if isinstance(each, Box) else (each,)


@dataclass(slots=True)
class Graph:
    """The picture of `definition`: nodes by id, in the order of the walk; root is the outermost
    box.
    """

    definition: StateMachine
    nodes: dict[str, Node] = field(default_factory=dict)
    edges: list[Edge] = field(default_factory=list)
    root: Box = field(default_factory=lambda: Box("root", "root"))

    @property
    def states(self) -> dict[str, Node]:
        """The nodes that are states, by name."""
        return {node.state: node for node in self.nodes.values() if node.kind == "state"}


def build(definition: StateMachine, collapse: Collection[str] = ()) -> Graph:
    """The graph of a valid definition. collapse: names of Parallel and Map states that are drawn
    without their inner states.
    """
    return _Builder(definition, frozenset(collapse)).graph


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
        """A name as ASCII letters, digits and dashes. Where two names become equal, the later one
        in the walk gets a number.
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
        """Add a block's states to a box. Returns the states after which the block ends, each with
        the weight of the edge from it.
        """
        walked = walk(block.states, block.start_at)
        for name in walked.order:
            self.state(name, block.states[name], box, member(f"{path}/States", name))
        for name in walked.order:
            self.transitions(name, block.states[name], walked, box)
        straight = {block.start_at} | {each.target for _, each in walked.main}
        return [
            (name, MAIN if name in straight else MERGE)
            for name in walked.order
            if is_last(block.states[name])
        ]

    def state(self, name: str, state: State, box: Box, path: str) -> None:
        slug, kind = self.slug(name), state.type
        composite, hidden, label = (
            isinstance(state, ParallelState | MapState),
            0,
            state_label(state),
        )
        if composite and name in self.collapse:
            composite, hidden = False, sum(1 for _ in _inside(state))
            label = f"{label} · {count(hidden, 'state')}"
        service = _service_of(getattr(state, "resource", ""))
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
        self, state: State, path: str, slug: str
    ) -> Iterator[tuple[Branch, str, Box | None]]:
        """(block, location, frame) of each block in a Parallel or Map."""
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
        """Add a block between the header and the join of its Parallel or Map."""
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
        # invisible edges keep Fail states and endless loops above the join
        onward = {edge.tail for edge in self.graph.edges[first:] if not edge.back}
        for each in box.nodes():
            if each not in onward and each != header:
                self.edge(each, join, "", weight=MERGE)

    def transitions(self, name: str, state: State, walked: Walk, box: Box) -> None:
        """Add the edges out of a state; for a Choice, also the nodes of its rules."""
        tail = self.joins.get(name, f"state-{self.slug(name)}")
        found = [each for each in transitions(state) if each.target in self.slugs]
        for each in sorted(found, key=lambda each: each.kind == "catch"):
            here = (name, each)
            back, main = here in walked.back, here in walked.main
            weight = (
                MAIN
                if main
                else MERGE
                if back or each.kind == "catch" or here not in walked.tree
                else ORDINARY
            )
            shared = {"source": name, "target": each.target, "back": back, "rule": each.rule}
            head = f"state-{self.slug(each.target)}"
            if not isinstance(state, ChoiceState):
                self.edge(tail, head, each.kind, weight=weight, errors=each.errors, **shared)
                continue
            rule = self.rule(name, state, each)
            box.content.append(rule)
            self.edge(
                tail,
                rule,
                each.kind,
                weight=MAIN if main else CHOICE_WEIGHT,
                **{**shared, "back": False},
            )
            self.edge(rule, head, each.kind, weight=weight, **shared)

    def rule(self, name: str, state: ChoiceState, transition: Transition) -> str:
        """Add the node of a rule, numbered if there are several and more than two transitions."""
        index = transition.rule
        assert index is not None
        numbered = index >= 0 and len(state.choices) > 1 and len(transitions(state)) > 2
        text = "default" if index < 0 else rule_text(state.choices[index])
        id = f"rule-{self.slug(name)}-{'default' if index < 0 else index + 1}"
        number = index + 1 if numbered else 0
        self.graph.nodes[id] = Node(
            id, "rule", name, "Choice", title=text, rule=index, number=number
        )
        return id

    def jumps(self) -> None:
        """Let edges over more than FAR levels end at a node that names the target."""
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
    """The level of each node: the length of the longest path to it without back edges."""
    out: dict[str, list[str]] = {id: [] for id in graph.nodes}
    for edge in graph.edges:
        if not edge.back:
            out[edge.tail].append(edge.head)
    levels = dict.fromkeys(graph.nodes, 0)
    for id in reversed(bottom_up(out)):
        for head in out[id]:
            levels[head] = max(levels[head], levels[id] + 1)
    return levels


def _spine(branches: Sequence[Branch]) -> Branch | None:
    """The branch that header and join are aligned with: the largest; of several, the middle one."""
    sizes = [
        sum(1 + sum(1 for _ in _inside(state)) for state in branch.states.values())
        for branch in branches
    ]
    largest = [branch for branch, size in zip(branches, sizes) if size == max(sizes)]
    return largest[len(largest) // 2] if largest else None


def _inside(state: State) -> Iterator[State]:
    """The states inside a Parallel or Map, at any depth."""
    blocks: tuple[Branch | None, ...] = state.branches if isinstance(state, ParallelState) else ()
    if isinstance(state, MapState):
        blocks = (processor(state),)
    for block in blocks:
        for each in block.states.values() if block is not None else ():
            yield each
            yield from _inside(each)


def _service_of(resource: str) -> str:
    """The service of a Task's Resource, "" if AWS has no such resource."""
    about = parsed(resource)
    return about.service if about is not None else ""
