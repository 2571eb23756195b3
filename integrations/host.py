"""What tasks and embedded services may use of the engine that they belong to."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from stepwell.engine.arns import Home
from stepwell.engine.clock import Clock
from stepwell.engine.operations.paging import Pages
from stepwell.engine.supervisor import Supervisor
from stepwell.engine.tasks import Transaction
from stepwell.integrations.limits import Limits

if TYPE_CHECKING:
    from stepwell.engine.engine import Engine
    from stepwell.engine.runtime.records import Records
    from stepwell.integrations.aws.outside import Outside
    from stepwell.integrations.services.registry import Services
    from stepwell.integrations.services.runtime.resolver import Catalogue


@dataclass(slots=True)
class Host:
    """What a service may use.

    engine     None until one is connected
    on_status  set by what carries status events on (see Tasks)
    url        where this is served, for the URLs that services give out
    supervisor of the background loops, the engine's once there is one
    """

    functions: Catalogue
    home: Home
    clock: Clock
    limits: Limits
    services: Services
    outside: Outside
    engine: Engine | None = None
    on_status: Callable[[list[dict[str, Any]]], Transaction[None] | None] | None = None
    url: str = "http://localhost:8083"

    @property
    def records(self) -> Records:
        """The records of the engine, which services store their state in."""
        assert self.engine is not None, "services are opened by an engine"
        return self.engine.records

    @property
    def pages(self) -> Pages:
        """The page tokens of the engine."""
        assert self.engine is not None, "services are opened by an engine"
        return self.engine.pages

    supervisor: Supervisor = field(default_factory=Supervisor)
