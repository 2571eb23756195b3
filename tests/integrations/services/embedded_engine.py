"""An engine with its embedded services on a file, at a time that the test moves, and what the tests
need around it.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable, Mapping
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

from stepwell.engine import Engine
from stepwell.engine.clock import ManualClock
from stepwell.engine.supervisor import LoopState
from stepwell.integrations.aws.outside import Outside
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.tasks.iam_policies import Policies
from stepwell.integrations.tasks.registry import Registry

ROLE = "arn:aws:iam::123456789012:role/any"
ECHO = json.dumps({"StartAt": "P", "States": {"P": {"Type": "Pass", "End": True}}})


class EmbeddedEngine:
    """open() and close() it as often as wanted; `functions` are callables by name."""

    def __init__(
        self,
        path: Path,
        limits: Limits = DEFAULT_LIMITS,
        endpoints: Mapping[str, str] | None = None,
        policies: Mapping[str, Any] | None = None,
        smtp: tuple[str, int] | None = None,
    ) -> None:
        self.path, self.limits, self.clock = path, limits, ManualClock()
        self.functions: dict[str, Callable[..., Any]] = {}
        self.endpoints, self.policies, self.smtp = endpoints or {}, policies, smtp

    async def open(self) -> EmbeddedEngine:
        outside = Outside(self.endpoints, allow_private=True, smtp=self.smtp, limits=self.limits)
        policies = Policies(self.policies) if self.policies is not None else None
        self.registry = Registry(
            self.functions, limits=self.limits, outside=outside, policies=policies
        )
        self.engine = Engine(self.path, tasks=self.registry, clock=self.clock, limits=self.limits)
        await self.engine.open()
        self.events = await self.registry.host.services.get("events")
        self.scheduler = await self.registry.host.services.get("scheduler")
        self.sns = await self.registry.host.services.get("sns")
        return self

    async def close(self) -> None:
        await self.engine.close()

    async def __aenter__(self) -> EmbeddedEngine:
        return await self.open()

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def calm(self) -> None:
        """Let everything happen that happens by itself."""
        quiet, worker = 0, self.engine.worker
        while quiet < 5:
            await asyncio.sleep(0.002)
            self.clock.advance(0)
            sweep = self.engine.supervisor.loops.get("archive_sweep")
            busy = (
                self._delivers()
                or worker.writer.busy
                or worker.executions.loading
                or worker.life.background
                or worker.in_flight
                or self.events.replays.jobs
                or (sweep is not None and sweep.running > sweep.failing)
            )
            quiet = 0 if busy else quiet + 1

    def _delivers(self) -> bool:
        """Whether more work of services is under way than waits for time to pass."""
        loops = self.engine.supervisor.loops
        names = {each.get_name() for each in self.registry.host.working}
        states = [loops.get(name, LoopState(running=1)) for name in names]  # 1: it is to begin
        return sum(each.running - each.failing for each in states) > self.sns.sender.asleep

    async def after(self, seconds: float) -> None:
        self.clock.advance(round(1000 * seconds))
        await self.calm()

    async def machine(self, definition: Any = ECHO, name: str = "m", **rest: Any) -> str:
        text = definition if isinstance(definition, str) else json.dumps(definition)
        arn: str = (await self.engine.create_state_machine(name, text, role_arn=ROLE, **rest))[
            "stateMachineArn"
        ]
        return arn

    async def inputs(self, machine: str) -> list[Any]:
        """Of the executions of a machine, the oldest first."""
        listed = (await self.engine.list_executions(machine))["executions"]
        return [
            json.loads((await self.engine.describe_execution(each["executionArn"]))["input"])
            for each in reversed(listed)
        ]

    async def task(self, resource: str, parameters: Any, **rest: Any) -> dict[str, Any]:
        """The description of an execution of one task, at its end."""
        state = {
            "Type": "Task",
            "Resource": f"arn:aws:states:::{resource}",
            "Parameters": parameters,
            "End": True,
            **rest,
        }
        machine = await self.machine({"StartAt": "T", "States": {"T": state}}, "task")
        started = await self.engine.start_execution(machine)
        ended = await self.engine.wait(started["executionArn"], timeout=30)
        await self.engine.delete_state_machine(machine)
        return ended


class Sink:
    """An HTTP endpoint: `got` has (method, path, headers by lower-case names, body), `answers` what
    is told: (status, body).
    """

    def __init__(self) -> None:
        self.got: list[tuple[str, str, dict[str, str], bytes]] = []
        self.answers: list[tuple[int, bytes]] = []
        sink = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                sink.got.append(
                    (
                        self.command,
                        self.path,
                        {name.lower(): value for name, value in self.headers.items()},
                        body,
                    )
                )
                status, told = sink.answers.pop(0) if sink.answers else (200, b'{"ok":true}')
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(told)))
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(told)

            do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = do_HEAD = do_OPTIONS = answer

            def log_message(self, *_: object) -> None: ...

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(0.01,), daemon=True
        )
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
