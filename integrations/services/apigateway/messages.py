"""The error texts of API Gateway: AWS's as users have published them, or ours.

Placeholders are replaced by str.format.
"""

from typing import Final

API_UNKNOWN: Final = "Invalid API identifier specified {account}:{id}"
ROUTE_UNKNOWN: Final = "Invalid Route identifier specified {id}"
INTEGRATION_UNKNOWN: Final = "Invalid Integration identifier specified {id}"
STAGE_UNKNOWN: Final = "Invalid stage identifier specified {id}"
DEPLOYMENT_UNKNOWN: Final = "Invalid deployment identifier specified {id}"
API_NOT_FOUND: Final = "Not Found"
API_FORBIDDEN: Final = "Forbidden"
API_FAULT: Final = "Internal Server Error"
API_TIMEOUT: Final = "Service Unavailable"

# --- ours, unless a line says otherwise -----------------------------------------------------------
API_PROTOCOL: Final = "The protocol type {type} is not supported; HTTP is"
API_MEMBER: Final = "{name} can only be set when an API is created"
API_MAX_RESULTS: Final = "MaxResults must be a number"
CORS_CREDENTIALS: Final = "allowCredentials cannot be true when allowOrigins has *"
ROUTE_KEY: Final = "The provided route key is not formatted properly for HTTP protocol. Format should be '<HTTP METHOD> /<RESOURCE PATH>' or '$default'"
ROUTE_GREEDY: Final = "A greedy path variable must be at the end of the path"
ROUTE_EXISTS: Final = "Route with key {key} already exists for this API"
ROUTE_TARGET: Final = "Target {target} is not integrations/ID of an integration of this API"
ROUTE_AUTHORIZATION: Final = "The authorization type {type} is not supported; NONE and AWS_IAM are"
INTEGRATION_TYPE: Final = (
    "The integration type {type} is not supported; AWS_PROXY with INTERNET connection is"
)
INTEGRATION_SUBTYPE: Final = "The integration subtype {subtype} is not supported"
INTEGRATION_URI: Final = "Invalid function ARN or invalid uri"
INTEGRATION_USED: Final = "Integration {id} is the target of the route {route}"
PAYLOAD_FORMAT: Final = (
    "PayloadFormatVersion is a required parameter for integration: 1.0, or 2.0 for functions"
)
API_PARAMETER_MISSING: Final = "Missing required parameter: {name}"
API_PARAMETER_UNKNOWN: Final = "Parameter {name} is not one of {subtype}"
MAPPING: Final = "Invalid mapping expression specified: {text}"
STAGE_EXISTS: Final = "Stage already exists"
DEPLOYMENT_AUTO: Final = "Deployment ID cannot be set on a stage with auto deploy enabled"
DEPLOYMENT_USED: Final = "Active stages pointing to this deployment must be moved or deleted"
