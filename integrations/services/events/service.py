"""EventBridge: buses, rules, archives, replays, connections and API destinations.

store.py              buses and rules, and what the parts share
buses.py              the operations on buses and tags
rules.py              the operations on rules and targets
publishing.py         PutEvents -> rules -> deliveries; input_transformer.py: their payloads
rule_schedules.py     runs rules with a schedule
archives.py           archives of events; replays.py: publishes them again
connections.py        credentials for HTTP endpoints; api_destinations.py: calls the endpoints
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepwell.engine.delegation import delegated
from stepwell.integrations.services.events.api_destinations import ApiDestinations
from stepwell.integrations.services.events.archives import ArchivedEvents, Archives
from stepwell.integrations.services.events.buses import Buses
from stepwell.integrations.services.events.connections import Connections
from stepwell.integrations.services.events.publishing import Publisher
from stepwell.integrations.services.events.replays import Replays
from stepwell.integrations.services.events.rule_schedules import RuleSchedules
from stepwell.integrations.services.events.rules import Rules
from stepwell.integrations.services.events.store import BusStore

if TYPE_CHECKING:
    from stepwell.integrations.host import Host


class EventBridge:
    """The operations of botocore's "events" that are served here."""

    def __init__(self, host: Host) -> None:
        self.store = store = BusStore(host)
        self.archived = ArchivedEvents(store)
        self.publisher = Publisher(store, self.archived)
        self.schedules = RuleSchedules(store, self.publisher)
        self.buses = Buses(store, self.publisher)
        self.rules = Rules(store, self.publisher, self.schedules)
        self.archives = Archives(store, self.archived, self.publisher.update_status_listener)
        self.replays = Replays(store, self.archived, self.publisher)
        self.connections = Connections(store)
        self.destinations = ApiDestinations(store, self.connections)

    async def open(self) -> None:
        await self.store.open()
        await self.archived.open()
        await self.connections.open()
        await self.destinations.open()
        await self.publisher.open()
        self.schedules.open()
        await self.replays.open()

    async def close(self) -> None:
        await self.replays.close()
        await self.archived.close()
        self.schedules.close()
        await self.publisher.close()

    create_event_bus = delegated("buses", Buses.create_event_bus)
    update_event_bus = delegated("buses", Buses.update_event_bus)
    describe_event_bus = delegated("buses", Buses.describe_event_bus)
    list_event_buses = delegated("buses", Buses.list_event_buses)
    delete_event_bus = delegated("buses", Buses.delete_event_bus)
    put_permission = delegated("buses", Buses.put_permission)
    remove_permission = delegated("buses", Buses.remove_permission)
    list_tags_for_resource = delegated("buses", Buses.list_tags_for_resource)
    tag_resource = delegated("buses", Buses.tag_resource)
    untag_resource = delegated("buses", Buses.untag_resource)

    put_rule = delegated("rules", Rules.put_rule)
    describe_rule = delegated("rules", Rules.describe_rule)
    list_rules = delegated("rules", Rules.list_rules)
    enable_rule = delegated("rules", Rules.enable_rule)
    disable_rule = delegated("rules", Rules.disable_rule)
    delete_rule = delegated("rules", Rules.delete_rule)
    put_targets = delegated("rules", Rules.put_targets)
    remove_targets = delegated("rules", Rules.remove_targets)
    list_targets_by_rule = delegated("rules", Rules.list_targets_by_rule)
    list_rule_names_by_target = delegated("rules", Rules.list_rule_names_by_target)

    test_event_pattern = delegated("publisher", Publisher.test_event_pattern)
    put_events = delegated("publisher", Publisher.put_events)
    prepare = delegated("publisher", Publisher.prepare)

    create_archive = delegated("archives", Archives.create_archive)
    update_archive = delegated("archives", Archives.update_archive)
    describe_archive = delegated("archives", Archives.describe_archive)
    list_archives = delegated("archives", Archives.list_archives)
    delete_archive = delegated("archives", Archives.delete_archive)

    start_replay = delegated("replays", Replays.start_replay)
    describe_replay = delegated("replays", Replays.describe_replay)
    list_replays = delegated("replays", Replays.list_replays)
    cancel_replay = delegated("replays", Replays.cancel_replay)

    create_connection = delegated("connections", Connections.create_connection)
    update_connection = delegated("connections", Connections.update_connection)
    describe_connection = delegated("connections", Connections.describe_connection)
    list_connections = delegated("connections", Connections.list_connections)
    deauthorize_connection = delegated("connections", Connections.deauthorize_connection)
    delete_connection = delegated("connections", Connections.delete_connection)
    credentials = delegated("connections", Connections.credentials)

    create_api_destination = delegated("destinations", ApiDestinations.create_api_destination)
    update_api_destination = delegated("destinations", ApiDestinations.update_api_destination)
    describe_api_destination = delegated("destinations", ApiDestinations.describe_api_destination)
    list_api_destinations = delegated("destinations", ApiDestinations.list_api_destinations)
    delete_api_destination = delegated("destinations", ApiDestinations.delete_api_destination)
    invoke_destination = delegated("destinations", ApiDestinations.invoke_destination)

    bus_name = delegated("store", BusStore.bus_name)
