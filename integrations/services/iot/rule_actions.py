"""The actions of topic rules: one table from an action's type to the target of its deliveries."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final, NamedTuple
from urllib.parse import urlsplit

from stepwell.engine.errors import ApiError
from stepwell.integrations.services.common.tables import Document
from stepwell.integrations.services.iot import messages
from stepwell.integrations.services.iot.message import Message
from stepwell.integrations.services.iot.sql import Evaluate, compile_template

if TYPE_CHECKING:
    from stepwell.integrations.host import Host

Settings = Mapping[str, Any]


class ActionType(NamedTuple):
    """title: its name in the message of an error action; target: (host, settings with their
    templates replaced) -> a target as common/targets.py takes it
    """

    title: str
    target: Callable[[Host, Settings], Document]


def _state_machine(host: Host, settings: Settings) -> Document:
    arn = host.home.arn("stateMachine", settings["stateMachineName"])
    return {"Arn": arn, "ExecutionNamePrefix": settings.get("executionNamePrefix", "")}


def _function(host: Host, settings: Settings) -> Document:
    return {"Arn": settings["functionArn"]}


def _topic(host: Host, settings: Settings) -> Document:
    return {
        "Arn": settings["targetArn"],
        "MessageStructure": "json" if settings.get("messageFormat") == "JSON" else "",
    }


def _queue(host: Host, settings: Settings) -> Document:
    account, _, name = urlsplit(settings["queueUrl"]).path.strip("/").rpartition("/")
    return {"Arn": host.home.service_arn("sqs", name, account.rpartition("/")[2] or None)}


def _republish(host: Host, settings: Settings) -> Document:
    return {
        "Arn": settings["topic"],
        "republish": {"topic": settings["topic"], "qos": settings.get("qos", 0)},
    }


ACTIONS: Final[Mapping[str, ActionType]] = {
    "lambda": ActionType("LambdaAction", _function),
    "republish": ActionType("RepublishAction", _republish),
    "sns": ActionType("SnsAction", _topic),
    "sqs": ActionType("SqsAction", _queue),
    "stepFunctions": ActionType("StepFunctionsAction", _state_machine),
}


class Action(NamedTuple):
    """A compiled action. templates: those of the settings that have `${...}`."""

    type: str
    settings: Settings
    templates: Mapping[str, Evaluate]

    def resolve(self, host: Host, message: Message) -> Document:
        """The "action" of a delivery: {"kind": type, "target": ...}."""
        values = {name: evaluate(message) for name, evaluate in self.templates.items()}
        target = ACTIONS[self.type].target(host, {**self.settings, **values})
        return {"kind": self.type, "target": target}


def compile_action(action: Mapping[str, Any]) -> Action:
    """action: {type: settings}, as in CreateTopicRule. Raises ApiError, SqlError."""
    if len(action) != 1:
        raise ApiError("InvalidRequestException", messages.ONE_ACTION)
    ((type, settings),) = action.items()
    if type not in ACTIONS:
        raise ApiError(
            "InvalidRequestException",
            messages.ACTION_UNKNOWN.format(type=type, known=", ".join(sorted(ACTIONS))),
        )
    templates = {
        name: compile_template(value)
        for name, value in settings.items()
        if isinstance(value, str) and "${" in value and name != "roleArn"
    }
    return Action(type, settings, templates)
