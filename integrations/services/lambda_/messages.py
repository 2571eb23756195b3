"""The texts and error names of Lambda, as AWS shows them, or ours.

Placeholders are filled with str.format. Source: recordings of the real service unless a line says
otherwise.
"""

from typing import Final

# --- tasks: functions and services ----------------------------------------------------------------
FUNCTION_UNKNOWN: Final = "Function not found: {arn}"
# Of Lambda's API. What is about code that lies here, and not in a bucket, is ours.
FUNCTION_NAME: Final = "{name!r} is neither the name nor the ARN of a function."  # ours
FUNCTION_QUALIFIERS: Final = (
    "The derived qualifier from the function name does not match the specified qualifier."
)
FUNCTION_EXISTS: Final = "Function already exist: {name}"
FUNCTION_QUOTA: Final = "There can be {limit} functions."  # ours
FUNCTION_CREATING: Final = "The function is being created."
FUNCTION_IMAGE: Final = "Container images cannot be run here: use PackageType Zip."  # ours
FUNCTION_LAYERS: Final = (
    "There are no layers here: put what they hold into the function's own archive."  # ours
)
FUNCTION_MANDATORY: Final = "{member} is mandatory for functions created with deployment packages."
FUNCTION_RUNTIME: Final = (
    "The runtime {runtime} cannot be run here: there are python, nodejs and provided."  # ours
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
CODE_NO_BUCKET: Final = "There are no buckets here: give a ZipFile, or S3Bucket {hot_reload!r} with a whole path as S3Key."
CODE_NO_FOLDER: Final = "There is no folder {folder}."  # ours
FUNCTION_VERSION_QUOTA: Final = "There can be {limit} versions of a function."  # ours
FUNCTION_VERSION_IN_USE: Final = (
    "Unable to delete version because the following aliases reference it: [{aliases}]"
)
FUNCTION_ALIAS_NAME: Final = (
    "Value {name!r} at 'name' failed to satisfy constraint: an alias is no number"  # ours
)
FUNCTION_ALIAS_EXISTS: Final = "Alias already exists: {arn}"
FUNCTION_ALIAS_UNKNOWN: Final = "Cannot find alias arn: {arn}"
FUNCTION_ALIAS_QUOTA: Final = "There can be {limit} aliases of a function."  # ours
ALIAS_ROUTING_LATEST: Final = (
    "$LATEST is not supported for an alias pointing to more than 1 version"
)
ALIAS_ROUTING_MANY: Final = "Number of items in AdditionalVersionWeights cannot be greater than 1"
FUNCTION_STATEMENT_EXISTS: Final = "The statement id ({sid}) provided already exists. Please provide a new statement id, or remove the existing statement."
FUNCTION_STATEMENT_UNKNOWN: Final = "Statement {sid} is not found in resource policy."
FUNCTION_STATEMENT_QUOTA: Final = (
    "There can be {limit} statements in the policy of a function."  # ours
)
FUNCTION_POLICY_UNKNOWN: Final = "The resource you requested does not exist."
TOO_MANY_FUNCTION_TAGS: Final = "There can be {limit} tags on a function."  # ours
CONCURRENCY_UNRESERVED: Final = (
    "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of "
    "[{least}]."
)
EVENT_CONFIG_UNKNOWN: Final = "The function {arn} doesn't have an EventInvokeConfig"
DESTINATION_FAILED: Final = "the result of an event could not be sent to {arn}: {problem}"  # ours
MAPPING_SOURCE: Final = (
    "Unrecognized event source: {arn}"  # unconfirmed; here there are queues only
)
MAPPING_EXISTS: Final = (
    'An event source mapping with event source arn (" {source} ") and function (" {function} ") already exists. Please update or delete '
    "the existing mapping with UUID {uuid}"
)
MAPPING_IDLE: Final = "No records processed"
MAPPING_OK: Final = "OK"
MAPPING_PROBLEM: Final = "PROBLEM: {problem}"
MAPPING_FUNCTION_FAILED: Final = "Function call failed"
MAPPING_UNKNOWN: Final = "The resource you requested does not exist."
MAPPING_QUOTA: Final = "There can be {limit} event source mappings."  # ours
MAPPING_BATCH: Final = "Maximum batch window in seconds must be greater than 0 if maximum batch size is greater than 10"
MAPPING_FILTER: Final = "Invalid filter pattern definition. {problem}"
