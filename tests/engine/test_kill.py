"""kill -9 of a real process at any moment: nothing acknowledged is lost, and histories end up as if
nothing had happened.

STEPWELL_KILLS=1000 kills that often; STEPWELL_KILL_SEED chooses the moments.
"""

import itertools
import json
import os
import random
import subprocess
import sys
import threading
from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from tests.postgres import PostgresServer
from tests.simulation import histories

from stepwell.engine.core.environment import read_token

RUNNER = Path(__file__).with_name("kill_runner.py")
KILLS = int(os.environ.get("STEPWELL_KILLS", "20"))
KILLS_AT_MOST = 20  # of one set of executions: then they are left to end
LONGEST = 300  # seconds that one process may take by itself


class Zygote:
    """The interpreter that forks the engines."""

    def __init__(self, environment: dict[str, str]) -> None:
        pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
        self._process = subprocess.Popen(
            [sys.executable, str(RUNNER)], env=environment, text=True, **pipes
        )  # type: ignore[call-overload]

    def run(self, folder: Path, milliseconds: int) -> tuple[int, list[list[str]]]:
        """One engine in `folder`, killed after that time (0: never): (exit code, what it
        printed).
        """
        watchdog = threading.Timer(LONGEST, self._process.kill)
        watchdog.start()
        self._process.stdin.write(f"{folder} {milliseconds}\n")
        self._process.stdin.flush()
        lines: list[list[str]] = []
        while not lines or lines[-1][0] != "exited":
            line = self._process.stdout.readline()
            assert line, f"the runner went away, or hung; it said {lines}"
            lines.append(line.split())
        watchdog.cancel()
        return int(lines.pop()[1]), lines

    def close(self) -> None:
        self._process.stdin.close()
        try:
            self._process.wait(timeout=60)
        finally:
            self._process.kill()


class Effect(NamedTuple):
    """A line of the journal."""

    process: int
    token: str
    run: str
    state: str
    again: bool
    payload: str

    @property
    def attempt(self) -> tuple[str, str, str]:
        return self.run, self.state, self.payload


class Outcome(NamedTuple):
    """What a set of executions left behind. ended: (description, history) by machine, children of
    the Map Run under one name.
    """

    ended: dict[str, list[tuple[dict[str, Any], list[dict[str, Any]]]]]
    effects: list[Effect]

    def canonical(self) -> dict[str, list[list[str]]]:
        return {
            name: sorted(histories.canonical(events) for _, events in runs)
            for name, runs in self.ended.items()
        }


def read(folder: Path) -> Outcome:
    ended = defaultdict(list)
    for described, events in json.loads((folder / "ended.json").read_text()):
        ended[
            described["stateMachineArn"].partition("/")[0]
            + "/" * ("/" in described["stateMachineArn"])
        ].append((described, events))
    lines = (folder / "journal").read_text().splitlines()
    return Outcome(
        dict(ended),
        [Effect._make((*rest, json.dumps(payload))) for *rest, payload in map(json.loads, lines)],
    )


@pytest.fixture
def zygote(home: dict[str, str]) -> Iterator[Zygote]:
    started = Zygote(home)
    yield started
    started.close()


def check_acknowledged(processes: list[list[list[str]]], outcome: Outcome) -> int:
    """What any process acknowledged is still so in the end; how many starts that were."""
    starts: dict[str, set[tuple[str, ...]]] = defaultdict(set)
    ends: dict[str, set[str]] = defaultdict(set)
    for word, name, *rest in itertools.chain(*processes):
        assert word in ("process", "started", "ended"), (word, name, rest)
        if word == "process":
            continue
        if word == "started":
            starts[name].add(tuple(rest))
        else:
            ends[name].add(rest[0])
    found = {
        described["executionArn"]: described
        for runs in outcome.ended.values()
        for described, _ in runs
    }
    for name, answers in starts.items():
        assert len(answers) == 1, f"{name} was acknowledged as {answers}: a start was lost"
        (arn, date), *_ = answers
        assert found[arn]["status"] != "RUNNING" and str(found[arn]["startDate"]) == date
        assert ends[name] == {found[arn]["status"]}, f"{name} ended as {ends[name]}"
    return len(starts)


def check_history(described: dict[str, Any], events: list[dict[str, Any]]) -> None:
    assert histories.problems(events, described) == [], described["executionArn"]
    moves = Counter()  # type: Counter[tuple[str, str]]
    for event in events:
        for move, sign in (("Entered", 1), ("Exited", -1)):
            if event["type"].endswith(f"State{move}"):
                kind = event["type"].removesuffix(move)
                moves[kind, event[f"state{move}EventDetails"]["name"]] += sign
    stuck = {name: count for name, count in moves.items() if count}
    assert sum(stuck.values()) == (described["status"] == "FAILED") and all(
        count > 0 for count in stuck.values()
    ), stuck


def check_effects(effects: list[Effect], processes: list[list[list[str]]]) -> int:
    """No effect but of attempts that were in flight at a kill is repeated, and with the same token;
    how many were.
    """
    tokens: dict[tuple[str, str, str], set[str]] = defaultdict(set)
    sent: dict[str, set[int]] = defaultdict(set)
    latest: dict[tuple[int, int], int] = {}
    repeated = 0
    for effect in effects:
        tokens[effect.attempt].add(effect.token)
        parts = read_token(effect.token)
        assert parts is not None
        execution, frame, seq = parts
        assert latest.get((execution, frame), 0) <= seq, (
            f"sent again after its result was durable: {effect}"
        )
        latest[execution, frame] = seq
        assert effect.process not in sent[effect.token], f"sent twice by one process: {effect}"
        assert effect.again or not sent[effect.token], (
            f"sent again as if for the first time: {effect}"
        )
        repeated += bool(sent[effect.token])
        sent[effect.token].add(effect.process)
    assert all(len(given) == 1 for given in tokens.values()), {
        attempt: given for attempt, given in tokens.items() if len(given) > 1
    }
    assert len(tokens) == len(sent), "two attempts have the same token"
    closed: set[str] = set()
    by_process: dict[str, set[str]] = defaultdict(set)
    for effect in effects:
        by_process[str(effect.process)].add(effect.run)
    for lines in processes:
        begun = {number for word, number, *_ in lines if word == "process"}
        assert not closed & set().union(*(by_process[number] for number in begun)), (
            "an effect of an execution that had ended"
        )
        closed |= {name for word, name, *_ in lines if word == "ended"}
    return repeated


@pytest.mark.parametrize("store", ["sqlite", "postgresql"])
def test_kill(zygote: Zygote, tmp_path: Path, store: str, request: pytest.FixtureRequest) -> None:
    seed = int(os.environ.get("STEPWELL_KILL_SEED", "0")) or random.randrange(1, 2**31)
    print(f"STEPWELL_KILL_SEED={seed}")
    moments = random.Random(seed)

    def folder(name: str) -> Path:
        made = tmp_path / name
        made.mkdir()
        if store == "postgresql":
            server: PostgresServer = request.getfixturevalue("postgres_server")
            (made / "url").write_text(f"{server.url}?search_path={name}")
        return made

    quiet = folder("undisturbed")
    assert zygote.run(quiet, 0)[0] == 0
    want = read(quiet)
    want_canonical, want_attempts = want.canonical(), {effect.attempt for effect in want.effects}
    assert len(want_attempts) == len(want.effects) and not any(
        effect.again for effect in want.effects
    )
    totals: Counter[str] = Counter()
    while totals["kills"] < KILLS:
        place, code = folder(f"set{totals['sets']}"), -9
        processes: list[list[list[str]]] = []
        while code == -9:
            rest = KILLS - totals["kills"]
            kill = rest and len(processes) < KILLS_AT_MOST
            code, said = zygote.run(
                place,
                moments.choice((moments.randint(5, 60), moments.randint(5, 300))) if kill else 0,
            )
            assert code in (0, -9), said
            processes.append(said)
            totals["kills"] += code == -9
        outcome = read(place)
        totals["sets"] += 1
        totals["starts"] += check_acknowledged(processes, outcome)
        for described, events in itertools.chain(*outcome.ended.values()):
            check_history(described, events)
            totals["executions"] += 1
        got = outcome.canonical()
        for name, runs in want_canonical.items():
            for one, other in zip(runs, got[name], strict=True):
                assert one == other, f"{name}, seed {seed}:\n{histories.difference(one, other)}"
        assert got.keys() == want_canonical.keys()
        assert {effect.attempt for effect in outcome.effects} == want_attempts
        totals["effects"] += len(outcome.effects)
        totals["repeated"] += check_effects(outcome.effects, processes)
    print(dict(totals))
