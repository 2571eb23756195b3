"""The two versions of an alias, and the numbers that decide between them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple

from stepwell.engine.errors import ApiError
from stepwell.integrations.cli import lookup
from stepwell.integrations.cli.clients.base import Client
from stepwell.integrations.cli.versions.statistics import (
    fisher,
    needed,
    percentile,
    rank_test,
    wilson,
)
from stepwell.integrations.errors import UsageError

SURE: Final = 0.05  # a smaller probability is no coincidence
RISE: Final = 0.05  # of the failure rate, which enough executions would show
_SAMPLED: Final = 50  # executions of a version whose histories are read for their transitions
_DESCRIBED: Final = 1_000  # failed executions of a version whose errors are read
_FAILED: Final = ("FAILED", "TIMED_OUT")

# verdicts
WORSE, BETTER, SLOWER, ALIKE, TOO_FEW = "worse", "better", "slower", "alike", "too few"


class Alias(NamedTuple):
    """arn; the routes as (version ARN, weight), the version before the canary first; updated: epoch
    seconds.
    """

    arn: str
    routes: tuple[tuple[str, int], ...]
    updated: float


@dataclass(slots=True)
class Numbers:
    """The executions of one version. seconds: durations of those that succeeded, in order."""

    version: str
    weight: int
    statuses: Counter[str] = field(default_factory=Counter)
    errors: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)
    transitions: list[int] = field(default_factory=list)

    @property
    def number(self) -> str:
        """Of the version: 3."""
        return self.version.rpartition(":")[2]

    @property
    def failed(self) -> int:
        return sum(self.statuses[each] for each in _FAILED)

    @property
    def ended(self) -> int:
        """Without those that were stopped, which say nothing about the version."""
        return self.failed + self.statuses["SUCCEEDED"]

    @property
    def rate(self) -> float:
        return self.failed / self.ended if self.ended else 0.0


async def find(client: Client, machine: str, name: str) -> Alias:
    """An alias of a state machine. Raises ApiError, UsageError."""
    arn = f"{await lookup.machine_arn(client, machine)}:{name}"
    try:
        answer = await client.call("describe_state_machine_alias", state_machine_alias_arn=arn)
    except ApiError as fault:
        if fault.code not in ("ResourceNotFound", "StateMachineDoesNotExist"):
            raise
        raise UsageError(f"{machine} has no alias {name}") from None
    routes = tuple(
        (each["stateMachineVersionArn"], each["weight"]) for each in answer["routingConfiguration"]
    )
    return Alias(arn, routes, answer["updateDate"])


async def route(client: Client, alias: Alias, routes: Sequence[tuple[str, int]]) -> None:
    """Distribute new executions by weight."""
    configuration = [
        {"stateMachineVersionArn": version, "weight": weight} for version, weight in routes
    ]
    await client.call(
        "update_state_machine_alias",
        state_machine_alias_arn=alias.arn,
        routing_configuration=configuration,
    )


def begun(alias: Alias, version: str, percent: int) -> list[tuple[str, int]]:
    """The routes with a canary of a version, or with another percentage of it. Raises
    UsageError.
    """
    base = alias.routes[0][0]
    name = alias.arn.rpartition(":")[2]
    running = alias.routes[1][0] if len(alias.routes) > 1 else None
    if version == base:
        raise UsageError(f"{name} routes to version {version.rpartition(':')[2]} already")
    if running not in (None, version):
        raise UsageError(
            f"a canary of version {str(running).rpartition(':')[2]} runs: promote it or roll back"
        )
    return [(base, 100 - percent), (version, percent)]


def ended(alias: Alias, promoted: bool) -> tuple[str, list[tuple[str, int]]]:
    """(the version that stays, the routes). Raises UsageError if no canary runs."""
    if len(alias.routes) < 2:
        number = alias.routes[0][0].rpartition(":")[2]
        raise UsageError(
            f"no canary runs: {alias.arn.rpartition(':')[2]} routes to version {number} alone"
        )
    kept = alias.routes[int(promoted)][0]
    return kept, [(kept, 100)]


async def numbers(client: Client, alias: Alias, since: float, limit: int) -> list[Numbers]:
    """Of each version that the alias routes to: executions that it has started since then, the
    newest `limit`.
    """
    found = {version: Numbers(version, weight) for version, weight in alias.routes}
    seen = 0
    async for each in client.executions(alias.arn, None):
        if seen >= limit or each["startDate"] < since:
            break
        seen += 1
        of = found.get(each.get("stateMachineVersionArn", ""))
        if of is not None:
            await _count(client, of, each)
    for of in found.values():
        of.seconds.sort()
    return list(found.values())


async def _count(client: Client, of: Numbers, each: Mapping[str, Any]) -> None:
    status, arn = each["status"], each["executionArn"]
    of.statuses[status] += 1
    if status == "RUNNING":
        return
    if status == "SUCCEEDED":
        of.seconds.append(each["stopDate"] - each["startDate"])
    if status in _FAILED and of.errors.total() < _DESCRIBED:
        described = await client.describe(arn)
        of.errors[described.get("error") or status] += 1
    if len(of.transitions) < _SAMPLED:
        kinds = [str(event["type"]) async for event in client.history(arn)]
        of.transitions.append(sum(kind.endswith("StateEntered") for kind in kinds))


def verdict(base: Numbers, new: Numbers) -> tuple[str, str]:
    """(verdict, a sentence that says why)."""
    chance = fisher(new.failed, new.ended, base.failed, base.ended)
    rates = f"{new.rate:.1%} of {new.ended:,} failed, {base.rate:.1%} of {base.ended:,} before"
    if chance < SURE:
        worse = new.rate > base.rate
        word = "more often" if worse else "less often"
        sentence = f"version {new.number} fails {word}: {rates} (p = {chance:.2g}, Fisher's test)"
        return (WORSE if worse else BETTER), sentence
    enough = needed(base.rate, RISE)
    if min(new.ended, base.ended) < enough:
        most = wilson(new.failed, new.ended)[1]
        return TOO_FEW, (
            f"too few executions to decide: {rates}. The failure rate of version {new.number} may "
            f"be up to {most:.1%} (95 %); {enough:,} of each version show a rise of {RISE:.0%} "
            "points"
        )
    chance = rank_test(new.seconds, base.seconds)
    if chance < SURE and _median(new) > _median(base):
        return SLOWER, (
            f"version {new.number} is slower: p50 {_median(new):.3f} s, {_median(base):.3f} s "
            f"before (p = {chance:.2g}, Mann-Whitney test); failures: {rates}"
        )
    return ALIKE, f"no difference shown: {rates}"


def _median(of: Numbers) -> float:
    return percentile(of.seconds, 50) if of.seconds else 0.0


def as_json(of: Numbers) -> dict[str, Any]:
    """The numbers of a version. Durations are seconds; rates are between 0 and 1."""
    low, high = wilson(of.failed, of.ended)
    return {
        "version": of.version,
        "weight": of.weight,
        "executions": of.statuses.total(),
        "statuses": dict(of.statuses),
        "errors": dict(of.errors.most_common()),
        "failureRate": of.rate if of.ended else None,
        "failureRateLow": low,
        "failureRateHigh": high,
        "seconds": {f"p{each}": percentile(of.seconds, each) for each in (50, 95, 99)}
        if of.seconds
        else None,
        "transitions": sum(of.transitions) / len(of.transitions) if of.transitions else None,
    }
