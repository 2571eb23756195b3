"""From a Task's resource to a call: the registry of the engine's tasks.

    Resource --Registry.resolve--> Handler;  Handler(TaskRequest) -> result, or raises TaskError

A service is one file, integrations/tasks/NAME.py, found by its name: `-` becomes `_`, a Python
keyword gets a trailing `_`, and all of `aws-sdk:*` is aws_sdk.py. It is imported when a definition
first names it, and has one function:

    def actions(host: Host) -> dict[str, Handler]     # "invoke" -> its handler; for aws_sdk
    "sfn:startExecution"

A handler serves all patterns of its action and reads the pattern from request.resource. For
validation, the service and its actions are a row of OPTIMISED in asl/resources.py. Nothing else
needs a change for a new service.
"""

from __future__ import annotations

import importlib
import importlib.util
import keyword
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from stepwell.asl.evaluation import Json
from stepwell.asl.resources import Resource
from stepwell.engine.arns import Home
from stepwell.engine.clock import Clock, SystemClock
from stepwell.engine.map_runs.datasets import Dataset, Results, StreamRequest
from stepwell.engine.tasks import Handler, Mocks, TaskRequest, TaskResult, Transaction
from stepwell.integrations.aws.outside import Outside
from stepwell.integrations.host import Host
from stepwell.integrations.limits import DEFAULT_LIMITS, Limits
from stepwell.integrations.services.registry import Services
from stepwell.integrations.services.runtime.folder import Functions, Source
from stepwell.integrations.services.runtime.pool import Answer, Call, Pool, Target
from stepwell.integrations.services.runtime.resolver import FunctionResolver
from stepwell.integrations.tasks import sent_home

if TYPE_CHECKING:
    from stepwell.engine.engine import Engine
    from stepwell.integrations.tasks.iam_policies import Policies

_PACKAGE: Final = "stepwell.integrations.tasks"
_SDK: Final = "aws-sdk:"


class Registry:
    """The tasks that this process can run.

    functions         name, function ARN, or the whole text of any Resource -> callable, async or
                      not: `f(payload)` or `f(payload, context)`; or a Functions, for functions that
                      run from their source
    functions_folder  a folder of such functions; a callable of the same name goes before
    sources           functions of a template, after those of the folder
    output            receives (function name, text) when one of those prints
    services          the embedded services of another registry of the same engine; None: its own
    outside           which services outside may be called, and where
    policies          IAM policies of roles; None: everything is allowed
    pool              of the processes of functions, which other registries share; None: its own
    home, clock       by default the engine's
    """

    mocks: Mocks | None = None

    def __init__(
        self,
        functions: Mapping[str, Callable[..., Any]] | Functions | None = None,
        functions_folder: Path | str | None = None,
        *,
        home: Home | None = None,
        clock: Clock | None = None,
        limits: Limits = DEFAULT_LIMITS,
        output: Callable[[str, str], None] | None = None,
        services: Services | None = None,
        outside: Outside | None = None,
        policies: Policies | None = None,
        pool: Pool | None = None,
        sources: Iterable[Source] = (),
    ) -> None:
        self._policies = policies
        self._home, self._clock = home, clock
        home, clock, callables, given = home or Home(), clock or SystemClock(limits), {}, None
        if isinstance(functions, Functions):
            given = functions
        else:
            callables = dict(functions or {})
        if functions_folder is not None and given is not None:
            raise TypeError("functions_folder: give the folder to Functions")
        self._owns_services = services is None
        found = FunctionResolver(
            callables,
            given
            or Functions(
                functions_folder, limits=limits, output=output, pool=pool, sources=sources
            ),
            home,
            limits,
            self._created,
        )
        self.functions, self.services = (
            found,
            services or Services(most_deliveries=limits.deliveries_remembered),
        )
        self._outside = outside or Outside(limits=limits)
        self.host = Host(found, home, clock, limits, self.services, self._outside)
        found.on_answer = self._answered
        self._handlers: dict[Resource, Handler] = {}
        self._actions: dict[str, dict[str, Handler]] = {}

    def connect(self, engine: Engine) -> None:
        """Connect to the engine: its database has the records of services, and it runs nested
        executions unless `host.executions` is set.
        """
        self.host.engine, self.host.executions = engine, self.host.executions or engine
        self.host.clock = self._clock or engine.clock
        self.host.supervisor = engine.supervisor
        self.functions.sources.supervise(engine.supervisor)
        pool, outside = self.functions.sources.pool, self._outside
        engine.activity.probes.append(lambda: pool.busy or outside.busy)
        engine.activity.inside.append(self.host.working)
        self.host.home = self.functions.home = self._home or engine.home
        if self._policies is not None:
            self._policies.home, self._policies.host, self._policies.of_resource = (
                self.host.home,
                self.host,
                self._policy_of,
            )
        if self._owns_services:
            self.services.connect(self.host)
            if self.host.at_home:
                engine.on_open.append(self.services.open)

    def _policy_of(self, arn: str) -> str | None:
        """The policy of an embedded topic or queue, "" if it has none; None: there is none of that
        ARN.
        """
        parts = arn.split(":")
        owner = (
            self.services.opened(parts[2])
            if len(parts) == 6 and parts[2] in ("sns", "sqs")
            else None
        )
        found: str | None = owner and owner.policy_of(arn)
        return found

    def _created(self, reference: str, qualifier: str) -> Target | None:
        """A function that was created with Lambda's API."""
        functions = self.services.opened("lambda")
        found: Target | None = functions and functions.target(reference, qualifier)
        return found

    def _answered(self, call: Call, answer: Answer) -> None:
        self.services.delivery_log.called(self.host.clock, call, answer)

    @property
    def on_status(self) -> Callable[[list[dict[str, Any]]], Transaction[None] | None] | None:
        receiver = self.host.status_receiver
        return self.host.on_status if receiver is None else receiver()

    def resolve(self, resource: Resource) -> Handler | None:
        """The handler of a resource, or None if there is none. Whether a function exists is checked
        when it is called.
        """
        handler = self._handlers.get(resource)
        if handler is None and (handler := self._resolve(resource)) is not None:
            if self._policies is not None:
                handler = partial(_allowed, self._policies, handler)
            if not self.host.at_home:
                handler = sent_home.routed(self.host, resource, handler)
            self._handlers[resource] = handler
        return handler

    def _resolve(self, resource: Resource) -> Handler | None:
        if resource.kind == "activity":
            return None  # the engine's own
        if self._is_function(resource):
            return (
                self._service("lambda")[""]
                if resource.kind == "lambda" or self.known(resource)
                else None
            )
        if resource.service.startswith(_SDK):
            return self._service("aws-sdk").get(
                f"{resource.service.removeprefix(_SDK)}:{resource.action}"
            )
        return self._service(resource.service).get(resource.action)

    def known(self, resource: Resource) -> bool:
        """Whether a task with this resource could run now, for warnings before an execution."""
        if resource.kind == "activity":
            return True
        if self._is_function(resource):
            return self.functions.find(resource.text) is not None
        return self.resolve(resource) is not None

    def known_text(self, text: str) -> str | None:
        """The ARN or name of the function that runs a Resource which is not AWS's, or None."""
        target = self.functions.find(text)
        return target and target.arn

    def mock_fault(self, resource: Resource, result: Json, strict: bool) -> str | None:
        """TestState's error of a mocked result, or None."""
        from stepwell.integrations.tasks import mocks  # imported late: so is botocore

        return mocks.fault(resource, result, strict)

    async def dataset(self, request: StreamRequest) -> Dataset | None:
        if not self._in_s3(request.resource):
            return None
        self._check(request)
        from stepwell.integrations.datasets.dataset import S3Dataset  # imported late: so is zstd

        return S3Dataset(self.host, self._threads, request)

    async def results(self, request: StreamRequest) -> Results | None:
        if not self._in_s3(request.resource):
            return None
        self._check(request)
        from stepwell.integrations.datasets.results import S3Results

        return S3Results(self.host, request)

    def _in_s3(self, resource: Resource) -> bool:
        """Whether S3 itself is called, not a function in its place."""
        return resource.service == "s3" and not self._is_function(resource)

    def _check(self, request: StreamRequest) -> None:
        """Raises the refusal of the policies of a role."""
        if self._policies is not None and (refusal := self._policies.refusal(request)) is not None:
            raise refusal

    @cached_property
    def _threads(self) -> ThreadPoolExecutor:
        """Those that read datasets."""
        return ThreadPoolExecutor(self.host.limits.dataset_threads, "stepwell-dataset")

    def _is_function(self, resource: Resource) -> bool:
        return resource.kind in ("lambda", "local") or self.functions.replaces(resource.text)

    def _service(self, name: str) -> dict[str, Handler]:
        if name not in self._actions:
            module = name.replace("-", "_") + ("_" if keyword.iskeyword(name) else "")
            path = f"{_PACKAGE}.{module}"
            found = importlib.util.find_spec(path) is not None
            self._actions[name] = (
                getattr(importlib.import_module(path), "actions", lambda host: {})(self.host)
                if found
                else {}
            )
        return self._actions[name]

    async def close(self) -> None:
        if self._owns_services:
            await self.services.close()
            self._outside.close()
        await self.functions.close()
        if "_threads" in self.__dict__:
            self._threads.shutdown(wait=False, cancel_futures=True)


async def _allowed(policies: Policies, handler: Handler, request: TaskRequest) -> TaskResult:
    refusal = policies.refusal(request)
    if refusal is not None:
        raise refusal
    return await handler(request)
