"""class Lambda: the operations of AWS Lambda on functions that run in processes of this machine. What is accepted is durable.

    client.create_function(FunctionName="f", Runtime="python3.12", Handler="index.handler", Role=..., Code={"ZipFile": ...})
    client.create_function(..., Code={"S3Bucket": "hot-reload", "S3Key": "/a/folder"})      # run from there, as it is

Callables and the functions of a folder (see catalogue.py) can be invoked as well.
"""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path

from stepwell.integrations.services.lambda_.base import Json
from stepwell.integrations.services.lambda_.code import CodeStore
from stepwell.integrations.services.lambda_.event_source_mappings import Mappings
from stepwell.integrations.services.lambda_.functions import Functions
from stepwell.integrations.services.lambda_.invoke import Invoking
from stepwell.integrations.services.runtime import orphans


class Lambda(Functions, Invoking, Mappings):
    """An embedded service. Code is unpacked in a folder beside the database, DATABASE.functions."""

    async def open(self) -> None:
        self.codes = CodeStore(self.records, self._folder(), self.limits)
        await self._load()
        await self._load_mappings()
        await asyncio.to_thread(self.codes.sweep, {code for stored in self.functions.values() for code in stored.codes()})
        if sys.platform == "linux":
            await asyncio.to_thread(orphans.clear_abandoned)
        await self.events.open()
        self.start_polling()

    def _folder(self) -> Path | None:
        assert self.host.engine is not None
        return self.host.engine.store.folder

    # --- tags: of functions and of event source mappings ---

    async def tag_resource(self, resource: str, tags: dict[str, str]) -> Json:
        if (held := self.mapping_tags(resource)) is None:
            return await super().tag_resource(resource, tags)
        await self.put_mapping_tags(resource, held | tags)
        return {}

    async def untag_resource(self, resource: str, tag_keys: list[str]) -> Json:
        if (held := self.mapping_tags(resource)) is None:
            return await super().untag_resource(resource, tag_keys)
        await self.put_mapping_tags(resource, {key: value for key, value in held.items() if key not in tag_keys})
        return {}

    async def list_tags(self, resource: str) -> Json:
        held = self.mapping_tags(resource)
        return await super().list_tags(resource) if held is None else {"Tags": held}

    async def close(self) -> None:
        await self.stop_polling()
        await self.events.close()
        await self.codes.close()
