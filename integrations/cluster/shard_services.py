"""What the engine of each shard does for the others: the services that Peers.call reaches besides
those of the API.
"""

from __future__ import annotations

from typing import Any

from stepwell.engine.tasks import Tasks
from stepwell.integrations.cluster import activities, inbox
from stepwell.integrations.cluster.activities import ActivityOffers
from stepwell.integrations.cluster.inbox import Inbox, StatusOutbox
from stepwell.integrations.cluster.tasks import TaskRuns
from stepwell.integrations.host import Host
from stepwell.integrations.tasks import sent_home


def shard_services(host: Host, tasks: Tasks) -> dict[str, Any]:
    """Name -> service, for one engine, which is connected and not open yet.

    host   its host, with `peers`
    tasks  of the engine
    """
    assert host.engine is not None and host.peers is not None
    on_open, offers = host.engine.on_open, ActivityOffers(host.engine, host.limits)
    if not host.at_home:
        on_open.append(StatusOutbox(host).open)
        return {activities.SERVICE: offers, sent_home.CALLERS: sent_home.TaskCallers()}
    runs, inbox_of_home = TaskRuns(host, tasks), Inbox(host)
    on_open += (runs.open, inbox_of_home.open)
    return {
        activities.SERVICE: offers,
        sent_home.SERVICE: runs,
        inbox.SERVICE: inbox_of_home,
    }
