"""API Gateway's HTTP APIs: routes that start executions and call functions.

store.py                what the operations share: one document an API
apis.py                 APIs and tags
routes.py               routes; route_keys.py: which of them serves a request
integrations.py         integrations; subtypes.py: the services that they call
parameter_mappings.py   the request parameters of integrations
stages.py               stages and deployments
invoke.py               requests -> responses; function_events.py: those of functions
requests.py             a request and a response

Not supported: WebSocket and REST APIs, authorizers other than IAM, models, domain names, VPC links
and integrations other than AWS_PROXY.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from stepwell.engine.delegation import delegated
from stepwell.integrations.services.apigateway.apis import Apis
from stepwell.integrations.services.apigateway.integrations import Integrations
from stepwell.integrations.services.apigateway.invoke import Invoker
from stepwell.integrations.services.apigateway.routes import Routes
from stepwell.integrations.services.apigateway.stages import Deployments, Stages
from stepwell.integrations.services.apigateway.store import ApiStore

if TYPE_CHECKING:
    from stepwell.integrations.host import Host


class HttpApis:
    """The operations of botocore's "apigatewayv2" on HTTP APIs. invoker: serves their requests."""

    def __init__(self, host: Host) -> None:
        self.store = store = ApiStore(host)
        self.apis, self.api_routes = Apis(store), Routes(store)
        self.integrations = Integrations(store)
        self.stages, self.deployments = Stages(store), Deployments(store)
        self.invoker = Invoker(store)

    async def open(self) -> None:
        await self.store.open()

    async def close(self) -> None: ...

    create_api = delegated("apis", Apis.create_api)
    get_api = delegated("apis", Apis.get_api)
    get_apis = delegated("apis", Apis.get_apis)
    update_api = delegated("apis", Apis.update_api)
    delete_api = delegated("apis", Apis.delete_api)
    delete_cors_configuration = delegated("apis", Apis.delete_cors_configuration)
    get_tags = delegated("apis", Apis.get_tags)
    tag_resource = delegated("apis", Apis.tag_resource)
    untag_resource = delegated("apis", Apis.untag_resource)

    create_route = delegated("api_routes", Routes.create_route)
    get_route = delegated("api_routes", Routes.get_route)
    get_routes = delegated("api_routes", Routes.get_routes)
    update_route = delegated("api_routes", Routes.update_route)
    delete_route = delegated("api_routes", Routes.delete_route)

    create_integration = delegated("integrations", Integrations.create_integration)
    get_integration = delegated("integrations", Integrations.get_integration)
    get_integrations = delegated("integrations", Integrations.get_integrations)
    update_integration = delegated("integrations", Integrations.update_integration)
    delete_integration = delegated("integrations", Integrations.delete_integration)

    create_stage = delegated("stages", Stages.create_stage)
    get_stage = delegated("stages", Stages.get_stage)
    get_stages = delegated("stages", Stages.get_stages)
    update_stage = delegated("stages", Stages.update_stage)
    delete_stage = delegated("stages", Stages.delete_stage)

    create_deployment = delegated("deployments", Deployments.create_deployment)
    get_deployment = delegated("deployments", Deployments.get_deployment)
    get_deployments = delegated("deployments", Deployments.get_deployments)
    delete_deployment = delegated("deployments", Deployments.delete_deployment)
