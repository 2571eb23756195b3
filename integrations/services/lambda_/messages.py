"""The error texts of Lambda. Source: recordings of AWS, unless a line says otherwise.

Placeholders are replaced by str.format.
"""

from typing import Final

FUNCTION_UNKNOWN: Final = "Function not found: {arn}"
FUNCTION_NAME: Final = "{name!r} is not a function name or ARN."  # ours
FUNCTION_QUALIFIERS: Final = (
    "The derived qualifier from the function name does not match the specified qualifier."
)
FUNCTION_EXISTS: Final = "Function already exist: {name}"
FUNCTION_QUOTA: Final = "The limit of {limit} functions is reached."  # ours
FUNCTION_CREATING: Final = "The function is being created."
FUNCTION_IMAGE: Final = "Container images are not supported: use PackageType Zip."  # ours
FUNCTION_LAYERS: Final = (
    "Layers are not supported: include their files in the archive of the function."  # ours
)
FUNCTION_MANDATORY: Final = "{member} is mandatory for functions created with deployment packages."
FUNCTION_RUNTIME: Final = (
    "The runtime {runtime} is not supported: use python, nodejs or provided."  # ours
)
FUNCTION_RESERVED_KEYS: Final = (
    "Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys "
    "that are currently not supported for modification. Reserved keys used in this request: {keys}"
)
FUNCTION_ENVIRONMENT: Final = (  # unconfirmed
    "Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the limit "
    "of {limit} bytes."
)
FUNCTION_REVISION: Final = "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
FUNCTION_DELETE_LATEST: Final = "$LATEST version cannot be deleted without deleting the function."
FUNCTION_REQUEST_SIZE: Final = (
    "Request must be smaller than {limit} bytes for the InvokeFunction operation"
)
FUNCTION_PAYLOAD: Final = "Could not parse request body into json: {problem}"
CLIENT_CONTEXT: Final = "Client context must be a valid Base64-encoded JSON object."
CODE_EMPTY: Final = "Uploaded file must be a non-empty zip"
CODE_NO_ZIP: Final = (
    "Could not unzip uploaded file. Please check your file, then try to upload again."
)
CODE_ZIP_SIZE: Final = "Zipped size must be smaller than {limit} bytes"
CODE_UNZIPPED_SIZE: Final = "Unzipped size must be smaller than {limit} bytes"
CODE_NOT_UNZIPPED: Final = "Lambda could not unzip the deployment package."  # unconfirmed
CODE_NOT_UNPACKED: Final = "The code of the function cannot be unpacked: {problem}"  # ours
CODE_SHA256: Final = "CodeSHA256 ({given}) is different from current CodeSHA256 in $LATEST ({found}). Please try again with the CodeSHA256 in $LATEST."
# ours
CODE_NO_BUCKET: Final = "S3 buckets are not supported: use ZipFile, or S3Bucket {hot_reload!r} with an absolute path as S3Key."
CODE_NO_FOLDER: Final = "The folder {folder} does not exist."  # ours
FUNCTION_VERSION_QUOTA: Final = "The limit of {limit} versions of a function is reached."  # ours
FUNCTION_VERSION_IN_USE: Final = (
    "Unable to delete version because the following aliases reference it: [{aliases}]"
)
FUNCTION_ALIAS_NAME: Final = (
    "Value {name!r} at 'name' failed to satisfy constraint: an alias must not be a number"  # ours
)
FUNCTION_ALIAS_EXISTS: Final = "Alias already exists: {arn}"
FUNCTION_ALIAS_UNKNOWN: Final = "Cannot find alias arn: {arn}"
FUNCTION_ALIAS_QUOTA: Final = "The limit of {limit} aliases of a function is reached."  # ours
ALIAS_ROUTING_LATEST: Final = (
    "$LATEST is not supported for an alias pointing to more than 1 version"
)
ALIAS_ROUTING_MANY: Final = "Number of items in AdditionalVersionWeights cannot be greater than 1"
FUNCTION_STATEMENT_EXISTS: Final = "The statement id ({sid}) provided already exists. Please provide a new statement id, or remove the existing statement."
FUNCTION_STATEMENT_UNKNOWN: Final = "Statement {sid} is not found in resource policy."
FUNCTION_STATEMENT_QUOTA: Final = (
    "The limit of {limit} statements in the policy of a function is reached."  # ours
)
FUNCTION_POLICY_UNKNOWN: Final = "The resource you requested does not exist."
TOO_MANY_FUNCTION_TAGS: Final = "A function can have at most {limit} tags."  # ours
CONCURRENCY_UNRESERVED: Final = (
    "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of "
    "[{least}]."
)
EVENT_CONFIG_UNKNOWN: Final = "The function {arn} doesn't have an EventInvokeConfig"
DESTINATION_FAILED: Final = "the result of an event could not be sent to {arn}: {problem}"  # ours
MAPPING_SOURCE: Final = "Unrecognized event source: {arn}"  # unconfirmed
MAPPING_EXISTS: Final = (
    'An event source mapping with event source arn (" {source} ") and function (" {function} ") already exists. Please update or delete '
    "the existing mapping with UUID {uuid}"
)
MAPPING_IDLE: Final = "No records processed"
MAPPING_OK: Final = "OK"
MAPPING_PROBLEM: Final = "PROBLEM: {problem}"
MAPPING_FUNCTION_FAILED: Final = "Function call failed"
MAPPING_UNKNOWN: Final = "The resource you requested does not exist."
MAPPING_QUOTA: Final = "The limit of {limit} event source mappings is reached."  # ours
MAPPING_BATCH: Final = "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
MAPPING_FILTER: Final = "Invalid filter pattern definition. {problem}"
