"""All limits of a process with the embedded services, the server and the command: each is in the
table beside its owner.
"""

from dataclasses import dataclass
from typing import Final

from stepwell.engine import limits as engine
from stepwell.integrations.aws.limits import AwsLimits
from stepwell.integrations.console.limits import ConsoleLimits
from stepwell.integrations.server.limits import ServerLimits
from stepwell.integrations.services.apigateway.limits import HttpApiLimits
from stepwell.integrations.services.common.limits import DeliveryLimits
from stepwell.integrations.services.events.limits import EventsLimits
from stepwell.integrations.services.iot.limits import IotLimits
from stepwell.integrations.services.lambda_.limits import LambdaLimits
from stepwell.integrations.services.runtime.limits import RuntimeLimits
from stepwell.integrations.services.scheduler.limits import SchedulerLimits
from stepwell.integrations.services.sns.limits import SnsLimits
from stepwell.integrations.services.sqs.limits import SqsLimits
from stepwell.integrations.tasks.limits import TaskLimits


@dataclass(frozen=True)
class Limits(
    AwsLimits,
    TaskLimits,
    ServerLimits,
    ConsoleLimits,
    SnsLimits,
    SqsLimits,
    LambdaLimits,
    EventsLimits,
    HttpApiLimits,
    IotLimits,
    SchedulerLimits,
    DeliveryLimits,
    RuntimeLimits,
    engine.Limits,
):
    """Upper bounds, all inclusive."""

    # what an execution tells others: logs, and events of its status
    log_buffer_bytes: int = (
        8 * 1024 * 1024
    )  # taken by a sink and not yet written; beyond it, records are dropped and counted
    log_file_bytes: int = 64 * 1024 * 1024  # then the file is put aside
    log_files: int = 5  # put aside and kept, for each file

    # the API
    connections: int = 8_192  # a new one takes the place of an idle or incomplete one
    drain_seconds: float = 10.0  # that a server which was told to stop gives to open requests

    # events and what delivers them
    rules: int = 300  # of one bus

    # HTTP APIs
    http_apis: int = 600


DEFAULT_LIMITS: Final = Limits()
