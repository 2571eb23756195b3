"""The texts and error names of the API over HTTP, as AWS shows them, or ours.

Placeholders are filled with str.format. Source: recordings of the real service unless a line says
otherwise.
"""

from typing import Final

# --- signatures -----------------------------------------------------------------------------------
NO_AUTHENTICATION: Final = "Missing Authentication Token"
UNKNOWN_KEY: Final = "The security token included in the request is invalid."
WRONG_SIGNATURE: Final = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)
SIGNATURE_EXPIRED: Final = (
    "Signature expired: {time} is now earlier than {edge} ({now} - {minutes} min.)"
)
SIGNATURE_TOO_EARLY: Final = (
    "Signature not yet current: {time} is still later than {edge} ({now} + {minutes} min.)"
)
REQUEST_EXPIRED: Final = "Request has expired."  # unconfirmed
WRONG_REGION: Final = "Credential should be scoped to a valid region, not '{actual}'. "
WRONG_SERVICE: Final = "Credential should be scoped to correct service: '{wanted}'. "
# unconfirmed
WRONG_TERMINATOR: Final = (
    "Credential should be scoped with a valid terminator: '{wanted}', not '{actual}'. "
)
WRONG_DAY: Final = "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{actual}' != '{wanted}'"
NOT_SIGNED: Final = "'{header}' must be a 'SignedHeader' in the AWS Authorization."  # unconfirmed
BAD_ALGORITHM: Final = "Unsupported AWS 'algorithm': '{algorithm}'."  # unconfirmed
BAD_CREDENTIAL: Final = "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{credential}'"
BAD_TIME: Final = "Date must be in ISO-8601 'basic format'. Got '{time}'. See http://en.wikipedia.org/wiki/ISO_8601"
BAD_EXPIRES: Final = "X-Amz-Expires must be a number of seconds of at most {most}."  # ours
NO_PARAMETER: Final = "Authorization header requires '{name}' parameter. Authorization={header}"
NO_QUERY_PARAMETER: Final = (
    "AWS query-string parameters must include '{name}'. Re-examine the query-string parameters."
)
# we accept the first alone
NO_DATE: Final = (
    "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."
)

# --- the server -----------------------------------------------------------------------------------
WRONG_HOST: Final = (
    "The Host {host} is not a name of this server; add it with --allow-host."  # ours
)
WRONG_ORIGIN: Final = "Pages of {origin} may not call this server."  # ours
REQUEST_TOO_LARGE: Final = "The request is larger than {limit} bytes."  # ours
REQUEST_TOO_SLOW: Final = "The request did not arrive within {seconds:g} seconds."  # ours
READ_ONLY: Final = "Actions of the console are disabled: the server runs with --read-only."  # ours
CROSS_SITE: Final = "Pages of other origins may not call this server."  # ours
NOT_BY_GET: Final = (
    "{action} must be sent with POST: GET serves only the links that topics send."  # ours
)
STOPPING: Final = "The server is stopping."  # ours

# --- errors of AWS's front end, before an operation receives the request ---------------------------
INTERNAL_FAILURE: Final = (
    "The request processing has failed because of an unknown error, exception or failure."
)
UNAVAILABLE: Final = "The request has failed due to a temporary failure of the server."
INVALID_ACTION: Final = (
    "The action {action} is not valid for this web service: version {version}"  # unconfirmed
)
NOT_IMPLEMENTED: Final = "{operation} of {service} is not implemented here"  # ours

# --- HTTP APIs: from reports of users, or ours ----------------------------------------------------
API_TOO_LARGE: Final = "Request Entity Too Large"
API_SLOW: Final = "Request Timeout"
