"""The limits of the server process: those of logs and connections, and in one table with them those
of the engine and of all services, which are in a limits.py beside their owner.
"""

from dataclasses import dataclass
from typing import Final

from stepwell.engine import limits as engine
from stepwell.integrations.aws.limits import AwsLimits
from stepwell.integrations.cluster.limits import ClusterLimits
from stepwell.integrations.console.limits import ConsoleLimits
from stepwell.integrations.datasets.limits import DatasetLimits
from stepwell.integrations.nodes.limits import NodeLimits
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
    DatasetLimits,
    ServerLimits,
    ClusterLimits,
    NodeLimits,
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

    # --- logs of executions
    log_buffer_bytes: int = 8 * 1024 * 1024  # records not written yet; more are dropped and counted
    log_file_bytes: int = 64 * 1024 * 1024  # of a log file, before the next one is started
    log_files: int = 5  # older files that are kept, per log

    # --- traces
    # executions whose open spans are in memory; those of others are read from their history
    traced_executions: int = 10_000
    traces_close_seconds: float = 5.0  # to send the last spans when the server stops

    # --- the API
    connections: int = 8_192  # a new one replaces an idle or incomplete one
    drain_seconds: float = 10.0  # for open requests when the server stops

    __hash__ = engine.Limits.__hash__


DEFAULT_LIMITS: Final = Limits()
