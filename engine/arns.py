"""Amazon Resource Names: making and reading the few kinds that the engine owns."""

import re
from typing import NamedTuple

from stepwell.engine import messages
from stepwell.engine.errors import ApiError

_BAD_NAME = re.compile(
    r"""[\s<>{}\[\]?*"#%\\^|~`$&,;:/\x00-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff\U0010ffff]"""
)
_HALF_PAIR = re.compile("[\ud800-\udfff]")  # has no UTF-8, so nothing is stored under it
_ALIAS = re.compile(r"(?=.*[a-zA-Z_\-.])[a-zA-Z0-9_\-.]+")  # no number: that is a version
_ROLE = re.compile(r"arn:[\w-]+:iam::\d{12}:role/.+", re.ASCII)


class Home(NamedTuple):
    """The account and region that an engine serves."""

    region: str = "us-east-1"
    account: str = "123456789012"
    partition: str = "aws"

    def arn(self, kind: str, *parts: str) -> str:
        """The ARN of a resource of Step Functions."""
        return ":".join((self.service_arn("states", kind), *parts))

    def service_arn(self, service: str, resource: str, account: str | None = None) -> str:
        owner = self.account if account is None else account
        return f"arn:{self.partition}:{service}:{self.region}:{owner}:{resource}"

    def root(self, account: str | None = None) -> str:
        """The principal of a whole account."""
        return f"arn:{self.partition}:iam::{self.account if account is None else account}:root"

    @property
    def role(self) -> str:
        """The default role of a state machine."""
        return f"arn:{self.partition}:iam::{self.account}:role/stepwell"


def kind(arn: str, *allowed: str) -> str:
    """The resource type of a states ARN ("stateMachine", "execution", "express", "activity",
    "mapRun"), refusing others as AWS does.
    """
    parts = arn.split(":", 6)
    if len(parts) < 7 or parts[0] != "arn" or parts[2] != "states" or _HALF_PAIR.search(arn):
        raise ApiError("InvalidArn", messages.INVALID_ARN.format(arn=arn))
    if parts[5] not in allowed:
        raise ApiError("InvalidArn", messages.INVALID_ARN_KIND.format(kind=parts[5]))
    return parts[5]


def check_name(name: str, most: int) -> str:
    """1 to `most` characters, none of them a blank, a bracket, a wildcard, or one of AWS's other
    special characters.
    """
    if not 1 <= len(name) <= most or _BAD_NAME.search(name):
        raise ApiError("InvalidName", messages.INVALID_NAME.format(name=name))
    return name


def check_alias(name: str, most: int) -> str:
    if len(name) > most or not _ALIAS.fullmatch(name):
        raise ApiError("InvalidName", messages.INVALID_NAME.format(name=name))
    return name


def check_role(arn: str) -> str:
    if not _ROLE.fullmatch(arn) or _HALF_PAIR.search(arn):
        raise ApiError("InvalidArn", messages.INVALID_ROLE.format(arn=arn))
    return arn


class MachineArn(NamedTuple):
    """The ARN of a state machine, taken apart: the machine's own, and the version (a number) or
    alias behind it.
    """

    machine: str
    qualifier: str | None = None

    @property
    def version(self) -> str | None:
        return self.qualifier if self.qualifier is not None and self.qualifier.isdecimal() else None

    @property
    def alias(self) -> str | None:
        return None if self.qualifier is None or self.qualifier.isdecimal() else self.qualifier


def read_machine(arn: str) -> MachineArn:
    """Raises ApiError InvalidArn if it is none of a state machine, ValidationException if it is one
    of a Distributed Map's children.
    """
    kind(arn, "stateMachine")
    head, name, *qualifier = arn.rsplit(":", arn.count(":") - 5)
    if "/" in name:
        raise ApiError(
            "ValidationException",
            messages.LABELLED_ARN.format(arn=arn),
            "API_DOES_NOT_SUPPORT_LABELED_ARNS",
        )
    return MachineArn(f"{head}:{name}", ":".join(qualifier) if qualifier else None)


def split_case(arn: str) -> tuple[str, str | None]:
    """The ARN and the test case of MACHINE_ARN#CASE, which Step Functions Local introduced."""
    plain, sign, case = arn.partition("#")
    return plain, case if sign else None


def execution_arn(machine_arn: str, name: str, express_id: str | None = None) -> str:
    """An Express execution has an id after its name, since names of those are not unique."""
    head, _, machine = machine_arn.partition(":stateMachine:")
    if express_id is not None:
        return f"{head}:express:{machine}:{name}:{express_id}"
    return f"{head}:execution:{machine}:{name}"


def machine_name(machine_arn: str) -> str:
    return machine_arn.rpartition(":")[2]
