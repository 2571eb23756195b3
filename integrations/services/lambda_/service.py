"""AWS Lambda, for functions that run in local processes.

    Code={"ZipFile": archive}                                    stored, and unpacked when invoked
    Code={"S3Bucket": "hot-reload", "S3Key": "/a/folder"}        run from this folder: edits take
                                                                 effect at once

Python callables and the functions of a folder (runtime/resolver.py) can be invoked too.

store.py          functions, and what the operations share
functions.py      functions and their configurations; code.py, zips.py: their code
versions.py       versions and aliases
settings.py       permissions, concurrency, event configurations
invoke.py         Invoke; async_invoke.py: events
event_source_mappings.py    queues that invoke functions; poller.py receives from them
tags.py           tags

Processes are in ../runtime/.
"""

from __future__ import annotations

import asyncio
import sys
from typing import TYPE_CHECKING

from stepwell.engine.delegation import delegated
from stepwell.integrations.services.lambda_.async_invoke import Events
from stepwell.integrations.services.lambda_.event_source_mappings import EventSourceMappings
from stepwell.integrations.services.lambda_.functions import Functions
from stepwell.integrations.services.lambda_.invoke import Invoker
from stepwell.integrations.services.lambda_.settings import Settings
from stepwell.integrations.services.lambda_.store import FunctionStore
from stepwell.integrations.services.lambda_.tags import Tags
from stepwell.integrations.services.lambda_.versions import Versions
from stepwell.integrations.services.runtime import orphans

if TYPE_CHECKING:
    from stepwell.integrations.host import Host


class Lambda:
    """The operations of botocore's "lambda". Code is unpacked in DATABASE.functions."""

    def __init__(self, host: Host) -> None:
        self.store = FunctionStore(host)
        self.versions = Versions(self.store)
        self.functions = Functions(self.store, self.versions)
        self.settings = Settings(self.store)
        self.events = Events(self.store)
        self.invoker = Invoker(self.store, self.events)
        self.mappings = EventSourceMappings(self.store)
        self.tags = Tags(self.store, self.mappings)

    async def open(self) -> None:
        await self.store.open()
        await self.mappings.open()
        await asyncio.to_thread(
            self.store.codes.drop_unused,
            {code for function in self.store.functions.values() for code in function.codes()},
        )
        if sys.platform == "linux":
            await asyncio.to_thread(orphans.kill_abandoned)
        await self.events.open()
        self.mappings.start_polling()

    async def close(self) -> None:
        await self.mappings.stop_polling()
        await self.events.close()
        await self.store.codes.close()

    create_function = delegated("functions", Functions.create_function)
    update_function_code = delegated("functions", Functions.update_function_code)
    update_function_configuration = delegated("functions", Functions.update_function_configuration)
    get_function_configuration = delegated("functions", Functions.get_function_configuration)
    get_function = delegated("functions", Functions.get_function)
    list_functions = delegated("functions", Functions.list_functions)
    functions_of_the_host = delegated("functions", Functions.functions_of_the_host)
    delete_function = delegated("functions", Functions.delete_function)

    publish_version = delegated("versions", Versions.publish_version)
    list_versions_by_function = delegated("versions", Versions.list_versions_by_function)
    create_alias = delegated("versions", Versions.create_alias)
    update_alias = delegated("versions", Versions.update_alias)
    get_alias = delegated("versions", Versions.get_alias)
    delete_alias = delegated("versions", Versions.delete_alias)
    list_aliases = delegated("versions", Versions.list_aliases)

    add_permission = delegated("settings", Settings.add_permission)
    remove_permission = delegated("settings", Settings.remove_permission)
    get_policy = delegated("settings", Settings.get_policy)
    put_function_concurrency = delegated("settings", Settings.put_function_concurrency)
    get_function_concurrency = delegated("settings", Settings.get_function_concurrency)
    delete_function_concurrency = delegated("settings", Settings.delete_function_concurrency)
    get_account_settings = delegated("settings", Settings.get_account_settings)
    get_function_code_signing_config = delegated(
        "settings", Settings.get_function_code_signing_config
    )
    get_runtime_management_config = delegated("settings", Settings.get_runtime_management_config)
    get_function_recursion_config = delegated("settings", Settings.get_function_recursion_config)
    list_function_url_configs = delegated("settings", Settings.list_function_url_configs)
    list_provisioned_concurrency_configs = delegated(
        "settings", Settings.list_provisioned_concurrency_configs
    )
    list_layers = delegated("settings", Settings.list_layers)
    put_function_event_invoke_config = delegated(
        "settings", Settings.put_function_event_invoke_config
    )
    update_function_event_invoke_config = delegated(
        "settings", Settings.update_function_event_invoke_config
    )
    get_function_event_invoke_config = delegated(
        "settings", Settings.get_function_event_invoke_config
    )
    delete_function_event_invoke_config = delegated(
        "settings", Settings.delete_function_event_invoke_config
    )
    list_function_event_invoke_configs = delegated(
        "settings", Settings.list_function_event_invoke_configs
    )

    invoke = delegated("invoker", Invoker.invoke)
    invoke_async = delegated("invoker", Invoker.invoke_async)
    target = delegated("invoker", Invoker.target)

    create_event_source_mapping = delegated(
        "mappings", EventSourceMappings.create_event_source_mapping
    )
    update_event_source_mapping = delegated(
        "mappings", EventSourceMappings.update_event_source_mapping
    )
    get_event_source_mapping = delegated("mappings", EventSourceMappings.get_event_source_mapping)
    delete_event_source_mapping = delegated(
        "mappings", EventSourceMappings.delete_event_source_mapping
    )
    list_event_source_mappings = delegated(
        "mappings", EventSourceMappings.list_event_source_mappings
    )

    tag_resource = delegated("tags", Tags.tag_resource)
    untag_resource = delegated("tags", Tags.untag_resource)
    list_tags = delegated("tags", Tags.list_tags)
