"""ONE table of every text and error name that AWS shows (and of ours, where AWS's is not known).

Placeholders are filled with str.format. Source: recordings of the real service unless a line says otherwise.
"""

from typing import Final

# --- error names ------------------------------------------------------------------------------------------------------
ALL: Final = "States.ALL"
TASK_FAILED: Final = "States.TaskFailed"
TIMEOUT: Final = "States.Timeout"
HEARTBEAT_TIMEOUT: Final = "States.HeartbeatTimeout"
RUNTIME: Final = "States.Runtime"
DATA_LIMIT_EXCEEDED: Final = "States.DataLimitExceeded"
QUERY_EVALUATION_ERROR: Final = "States.QueryEvaluationError"
INTRINSIC_FAILURE: Final = "States.IntrinsicFailure"
RESULT_PATH_MATCH_FAILURE: Final = "States.ResultPathMatchFailure"
TOLERATED_FAILURE: Final = "States.ExceedToleratedFailureThreshold"
ITEM_READER_FAILED: Final = "States.ItemReaderFailed"
RESULT_WRITER_FAILED: Final = "States.ResultWriterFailed"

# --- running ----------------------------------------------------------------------------------------------------------
IN_STATE: Final = "An error occurred while executing the state '{state}' (entered at the event id #{event}). {text}"
PATH_NOT_FOUND: Final = "The JSONPath '{path}' specified for the field '{field}' could not be found in the input '{input}'"
INVALID_PATH: Final = "Invalid path '{path}' : {reason}"
NO_RESULTS: Final = "No results for path: {normalized}"
MISSING_PROPERTY: Final = "Missing property in path {normalized}"
ARRAYS_ONLY: Final = "Filter: {filter} can only be applied to arrays. Current context is: {value}"  # Jayway's
PATH_IS_NULL: Final = "The path {path} is null"  # Jayway's
OBJECT_EXPECTED: Final = (  # Jayway's; AWS's choice of JSON provider is unconfirmed
    "Expected to find an object with property {property} in path {path} but found '{found}'. "
    "This is not a json object according to the JsonProvider: 'com.jayway.jsonpath.spi.json.JacksonJsonProvider'."
)
NO_PRIMITIVES: Final = "Filter: {filter} can not be applied to primitives. Current context is: {value}"  # Jayway's
NO_SUCH_VARIABLE: Final = "The variable '${name}' has no value."  # unconfirmed
INTRINSIC_FAILED: Final = "The function '{call}' had the following error: {reason}"  # unconfirmed
INTRINSIC_PATH: Final = "The JsonPath argument for the field '{path}' could not be found in the input '{input}'"  # unconfirmed
# Why a function failed, in our words:
INTRINSIC_ARGUMENT: Final = "Argument {number} must be {wanted}"
INTRINSIC_TEMPLATE: Final = "The template asks for {slots} values, not {values}"
INTRINSIC_JSON: Final = "Argument 1 is not valid JSON: {reason}"
INTRINSIC_BASE64: Final = "Argument 1 is not valid Base64: {reason}"
INTRINSIC_RANGE: Final = "The array would have more than {limit} items"
INTRINSIC_INDEX: Final = "The index {index} is out of the bounds of an array of {length} items"
INTRINSIC_DEPTH: Final = "An argument is nested too deeply"
# Why a path cannot be read, in Jayway's words:
EMPTY_AGGREGATE: Final = "Aggregation function attempted to calculate value using empty array"
INDEX_BOUNDS: Final = "Index {index} out of bounds for length {length}"
NOT_A_VALUE: Final = "Could not determine value type"  # Jayway's
NOT_A_COLLECTION: Final = "class java.util.LinkedHashMap cannot be cast to class java.util.Collection"  # Jayway's
INDEX_TOO_LARGE: Final = "Target index:{index} larger than object count:{length}"  # Jayway's
PATH_TOO_DEEP: Final = "The value is nested too deeply"  # ours
PATH_TOO_MUCH: Final = "Too many nodes of the value would have to be visited"  # ours
CHOICE_VARIABLE: Final = "Invalid path '{path}': The choice state's condition path references an invalid value."
NO_NEXT_STATE: Final = "Failed to transition out of the state. The state does not point to a next state."
HISTORY_LIMIT: Final = "The execution reached the maximum number of history events ({limit})."
RESULT_TOO_LARGE: Final = "The state/task '{name}' returned a result with a size exceeding the maximum number of bytes service limit."
ACTIVITY_GONE: Final = "The activity {arn} does not exist."
TOLERATED_EXCEEDED: Final = "The specified tolerated failure threshold was exceeded"
MUST_POINT_TO_ARRAY: Final = 'Reference path "{path}" must point to array.'
RESULT_PATH_MISMATCH: Final = "Unable to apply ReferencePath {path} to input {input}"  # Amazon States Language, by its documentation

SECONDS_PATH_MISSING: Final = "The SecondsPath parameter does not reference an input value: {path}"
SECONDS_PATH_NEGATIVE: Final = "The SecondsPath parameter references a negative value: {path} == {value}"
SECONDS_PATH_TYPE: Final = "The SecondsPath parameter cannot be parsed as a long value: {path} == {value}"
TIMESTAMP_PATH_TYPE: Final = (
    "The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format string: {path} == {value}"
)
TIMESTAMP_TYPE: Final = "The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time format string: {value}"
VARIABLES_TOO_LARGE: Final = "The size of the variables assigned exceeds the maximum number of bytes service limit."  # ours
CONCURRENCY_NEGATIVE: Final = "MaxConcurrency cannot be negative."  # in the words of TOLERATED_COUNT_NEGATIVE
WAIT_TOO_LONG: Final = "Wait state delay is too long."  # unconfirmed
NUMBER_RANGE: Final = "The {field} field must be between {least} and {most}."  # ours
PATH_NOT_INTEGER: Final = 'The {field} field refers to value "{value}" which is not a valid integer: {path}'
PATH_NOT_FLOAT: Final = 'The {field} field refers to value "{value}" which is not a valid float: {path}'
TOLERATED_COUNT_NEGATIVE: Final = "ToleratedFailureCount cannot be negative."
TOLERATED_PERCENTAGE_RANGE: Final = "ToleratedFailurePercentage must be between 0 and 100."

JSONATA: Final = "The JSONata expression '{expression}' specified for the field '{field}' {what}"
JSONATA_UNDEFINED: Final = "returned nothing (undefined)."
JSONATA_UNSUPPORTED: Final = "returned an unsupported result type."
JSONATA_TYPE: Final = "returned an unexpected result type. Expected '{expected}', but was '{actual}' for value: {value}"
JSONATA_THREW: Final = "threw an error during evaluation. {code}: {message}"
JSONATA_ARGUMENT: Final = 'Argument {index} of function "{name}" does not match function signature'  # JSONata's, its code is T0410
JSONATA_PARSE: Final = "The argument of the parse function is not valid JSON: {reason}"  # ours
JSONATA_BUDGET: Final = "The evaluation exceeded its budget"  # ours
JSONATA_SYNTAX: Final = "The JSONata expression '{expression}' could not be parsed. {code}: {message}"  # ours
JSONATA_OPEN: Final = "The JSONata expression '{text}' is not closed: it must end with '%}}'"  # ours
MAP_INPUT_TYPE: Final = "Map state input must be an array but was: {value}"

# --- definitions ------------------------------------------------------------------------------------------------------
SCHEMA: Final = "SCHEMA_VALIDATION_FAILED"
INVALID_JSON: Final = "INVALID_JSON_DESCRIPTION"
REQUIRED_FIELDS: Final = "These fields are required: [{fields}]"
REQUIRED_FIELD: Final = "The field '{field}' is required but was missing"
ONE_OF: Final = "The field '{field}' should have one of these values: [{values}]"
EMPTY_VALUE: Final = "Value cannot be empty"
NOT_RFC3339: Final = "String does not match RFC3339 timestamp"
UNKNOWN_RESOURCE: Final = (
    "The resource provided {resource} is not recognized. The value is not a valid resource ARN, "
    "or the resource is not available in this region."
)
NOT_A_PATH: Final = "Value is not a valid JSONPath: {reason}"  # unconfirmed
NOT_A_REFERENCE_PATH: Final = "Value is not a Reference Path: {reason}"  # unconfirmed
# What is wrong with a path or a call, in our words:
UNEXPECTED_END: Final = "Unexpected end"
UNEXPECTED_CHARACTER: Final = "Unexpected character '{character}' at position {position}"
PATH_TOO_LONG: Final = "The path is too long or too deep"
PATH_ROOT: Final = "'{path}' starts with none of $, $$ and a variable"
PATH_MANY_NODES: Final = "'{path}' does not point to a single node"
PATH_NOT_IN_INPUT: Final = "'{path}' does not start from the state input"
BAD_REGEX: Final = "The regular expression /{pattern}/ is not supported"
NO_PATH_FUNCTION: Final = "Function with name: {name} does not exist."  # Jayway's
NO_INTRINSIC: Final = "There is no function {name}"
INTRINSIC_ARITY: Final = "{name} does not take {count} arguments"
CALL_TOO_LONG: Final = "The call is too long, or calls are nested too deeply"
BAD_PATH_OR_INTRINSIC: Final = "The value for the field '{field}' must be a valid JSONPath or a valid intrinsic function call"
DUPLICATE_FIELD: Final = "The field '{field}' is defined more than once"  # unconfirmed
LANGUAGE_DOWNGRADE: Final = "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine"
EXPRESS_SYNC: Final = "Express state machine does not support '.sync' service integration"
EXPRESS_CALLBACK: Final = "Express state machine does not support '.waitForTaskToken' service integration "  # AWS's own blank
EXPRESS_ACTIVITY: Final = "Express state machine does not support Activity ARN"
NOT_AN_OBJECT: Final = "Definition must be a valid JSON object"
MISSING_TRANSITION_TARGET: Final = "MISSING_TRANSITION_TARGET"
MISSING_END_STATE: Final = "MISSING_END_STATE"
DUPLICATE_STATE_NAME: Final = "DUPLICATE_STATE_NAME"
INVALID_STATE_NAME: Final = "INVALID_STATE_NAME"
DUPLICATE_LABEL_NAME: Final = "DUPLICATE_LABEL_NAME"
TOO_DEEPLY_NESTED: Final = "TOO_DEEPLY_NESTED"
NO_DOLLAR: Final = "NO_DOLLAR"
PASS_RESULT_IS_STATIC: Final = "PASS_RESULT_IS_STATIC"
# The words from here to the end of the section are ours, or AWS's as others report them: no recording shows them.
FIELD_NOT_SUPPORTED: Final = "Field is not supported"
FIELD_OF_OTHER_LANGUAGE: Final = "Field is not supported in a state whose 'QueryLanguage' is '{language}'"
EXPECTED_TYPE: Final = "Expected value of type [{type}]"
AT_LEAST: Final = "Value must be at least {ge}"
AT_MOST: Final = "Value must be at most {le}"
TOO_LONG: Final = "Value must have at most {max_length} characters"
EXACTLY_ONE: Final = "Exactly one of these fields is required: [{fields}]"
AT_MOST_ONE: Final = "At most one of these fields is allowed: [{fields}]"
MISSING_TARGET: Final = "Missing '{field}' target: {name}"
UNREACHABLE: Final = 'State "{name}" is not reachable.'
NO_END_STATE: Final = "No terminal state can be reached from '{name}'"
DUPLICATE_NAME: Final = "State name '{name}' is already used at {location}"
NAME_LENGTH: Final = "State names must have 1 to {limit} characters"
BAD_LABEL: Final = "Label must have 1 to {limit} characters and no white space, control characters or any of {letters}"
DUPLICATE_LABEL: Final = "Label '{label}' is already used at {location}"
DUPLICATE_KEY: Final = "Duplicate key '{key}': it stands at line {first[0]}, column {first[1]} and at line {second[0]}, column {second[1]}"
DEFINITION_SIZE: Final = "Definition must have at most {limit} bytes"
DEFINITION_DEPTH: Final = "Definition is nested deeper than {limit} levels"
EXPRESS_DISTRIBUTED: Final = "Express state machine does not support Distributed Map states"
DISTRIBUTED_ONLY: Final = "Field is supported only in a Map state whose ProcessorConfig has the Mode DISTRIBUTED"
BAD_VARIABLE_NAME: Final = "'{name}' is not a valid variable name"
RESERVED_VARIABLE: Final = "The variable name '{name}' is reserved"
OUTER_VARIABLE: Final = "The variable '{name}' is assigned in an outer scope"
ALL_ALONE: Final = "'States.ALL' must be the only entry of the last {field}"
MAX_DELAY: Final = "MaxDelaySeconds must be greater than IntervalSeconds"
HEARTBEAT_RANGE: Final = "HeartbeatSeconds must be smaller than TimeoutSeconds"
NOT_EXPRESSION: Final = "A string must be a JSONata expression in {% %}"
EXPRESSION_IS_TEXT: Final = "A JSONata expression is plain text in a state whose 'QueryLanguage' is 'JSONPath'"
STATES_MEMBER: Final = "'$states.{member}' is not available in this field"
ONE_OPERATOR: Final = "A choice rule must have exactly one comparison operator, And, Or or Not"
PATH_IS_TEXT: Final = "The value of '{key}' looks like a path but is plain text: the name of the key does not end in '.$'"
STATIC_RESULT: Final = "The key '{key}' stays as it is: the Result of a Pass state is not evaluated"
BAD_CSV: Final = "{field} is required if CSVHeaderLocation is GIVEN, and allowed only then"
AT_LEAST_ONE: Final = "At least one of these fields is required: [{fields}]"
UNRECOGNIZED_TOKEN: Final = (
    "Unrecognized token '{token}': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
)

# --- JSON text, as Jackson words it (Apache License 2.0; the reader that AWS's texts come from) -------------------------------
JSON_SOURCE: Final = '[Source: (String)"{snippet}; line: {line}, column: {column}]'
JSON_AT: Final = "{message}\n at {source}"
JSON_CHARACTER: Final = "Unexpected character ({char}): {expected}"
JSON_NUMBER: Final = "Unexpected character ({char}) in numeric value: {expected}"
JSON_VALUE: Final = "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
JSON_ANY_VALUE: Final = "expected a value"
JSON_KEY: Final = "was expecting double-quote to start field name"
JSON_COLON: Final = "was expecting a colon to separate field name and value"
JSON_COMMA: Final = "was expecting comma to separate {kind} entries"
JSON_CONTROL: Final = "Illegal unquoted character ({char}): has to be escaped using backslash to be included in string value"
JSON_ESCAPE: Final = "Unrecognized character escape {char}"
JSON_END: Final = "Unexpected end-of-input{where}"
JSON_CLOSER: Final = "Unexpected close marker '{found}': expected '{expected}' (for {kind} starting at {source})"
JSON_NOT_STANDARD: Final = "Non-standard token '{token}': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow"
JSON_LEADING_ZERO: Final = "Invalid numeric value: Leading zeroes not allowed"
JSON_NUMBER_LENGTH: Final = "Number value length ({length}) exceeds the maximum allowed ({limit})"
JSON_DEPTH: Final = "Document nesting depth ({depth}) exceeds the maximum allowed ({limit})"
JSON_RANGE: Final = "Numeric value ({token}) out of range"  # ours
JSON_EMPTY: Final = "No content to map due to end-of-input"
JSON_TRAILING: Final = "was expecting the end of the text"  # ours: Jackson would not look
RECORD_KEY: Final = "Unpaired surrogate in the key of a record: {key!r}"  # ours
JSON_SURROGATE: Final = "Unpaired surrogate in a string"  # ours
JSON_ENCODING: Final = "Invalid UTF-8 byte 0x{byte:02x} at offset {offset}"
JSON_NOT_FINITE: Final = "{value} has no JSON form"  # ours

# --- tasks: functions and services -------------------------------------------------------------------------------------------
SERVICE_FAULT: Final = "{message} (Service: {service}; Status Code: {status}; Error Code: {code}; Request ID: {request}; Proxy: null)"
BAD_PARAMETERS: Final = "The Parameters '{parameters}' could not be used to start the Task: [{problem}]"
INVALID_FORMAT: Final = "The value of the field '{field}' has an invalid format"
UNSUPPORTED_FIELD: Final = "The field '{field}' is not supported by Step Functions"  # unconfirmed
FUNCTION_UNKNOWN: Final = "Function not found: {arn}"
FUNCTION_THROTTLED: Final = "Rate Exceeded."  # unconfirmed
FUNCTION_NO_ERROR_TYPE: Final = (  # unconfirmed
    "The cause could not be determined because Lambda did not return an error type. Returned payload: {payload}"
)
# Lambda's own, in the payload of the error. Those of its Python runtime are in services/runtime/bootstrap.py, which stands alone.
FUNCTION_EXIT: Final = "RequestId: {request} Error: Runtime exited with error: {how}"
FUNCTION_EXIT_ZERO: Final = "RequestId: {request} Error: Runtime exited without providing a reason"
FUNCTION_TIMEOUT: Final = "RequestId: {request} Error: Task timed out after {seconds:.2f} seconds"
FUNCTION_RESPONSE_SIZE: Final = "Response payload size exceeded maximum allowed payload size ({limit} bytes)."
# Of Lambda's API. What is about code that lies here, and not in a bucket, is ours.
FUNCTION_NAME: Final = "{name!r} is neither the name nor the ARN of a function."  # ours
FUNCTION_QUALIFIERS: Final = "The derived qualifier from the function name does not match the specified qualifier."
FUNCTION_EXISTS: Final = "Function already exist: {name}"
FUNCTION_QUOTA: Final = "There can be {limit} functions."  # ours
FUNCTION_CREATING: Final = "The function is being created."
FUNCTION_IMAGE: Final = "Container images cannot be run here: use PackageType Zip."  # ours
FUNCTION_LAYERS: Final = "There are no layers here: put what they hold into the function's own archive."  # ours
FUNCTION_MANDATORY: Final = "{member} is mandatory for functions created with deployment packages."
FUNCTION_RUNTIME: Final = "The runtime {runtime} cannot be run here: there are python, nodejs and provided."  # ours
FUNCTION_RESERVED_KEYS: Final = (
    "Lambda was unable to configure your environment variables because the environment variables you have provided contains reserved keys "
    "that are currently not supported for modification. Reserved keys used in this request: {keys}"
)
FUNCTION_ENVIRONMENT: Final = (  # unconfirmed
    "Lambda was unable to configure your environment variables because the environment variables you have provided exceeded the limit "
    "of {limit} bytes."
)
FUNCTION_REVISION: Final = (
    "The Revision Id provided does not match the latest Revision Id. Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
)
FUNCTION_DELETE_LATEST: Final = "$LATEST version cannot be deleted without deleting the function."
FUNCTION_REQUEST_SIZE: Final = "Request must be smaller than {limit} bytes for the InvokeFunction operation"
FUNCTION_PAYLOAD: Final = "Could not parse request body into json: {problem}"
CLIENT_CONTEXT: Final = "Client context must be a valid Base64-encoded JSON object."
CODE_EMPTY: Final = "Uploaded file must be a non-empty zip"
CODE_NO_ZIP: Final = "Could not unzip uploaded file. Please check your file, then try to upload again."
CODE_ZIP_SIZE: Final = "Zipped size must be smaller than {limit} bytes"
CODE_UNZIPPED_SIZE: Final = "Unzipped size must be smaller than {limit} bytes"
CODE_NOT_UNZIPPED: Final = "Lambda could not unzip the deployment package."  # unconfirmed
CODE_NOT_UNPACKED: Final = "The code of the function cannot be unpacked: {problem}"  # ours
CODE_SHA256: Final = (
    "CodeSHA256 ({given}) is different from current CodeSHA256 in $LATEST ({found}). Please try again with the CodeSHA256 in $LATEST."
)
CODE_NO_BUCKET: Final = "There are no buckets here: give a ZipFile, or S3Bucket {hot_reload!r} with a whole path as S3Key."  # ours
CODE_NO_FOLDER: Final = "There is no folder {folder}."  # ours
FUNCTION_VERSION_QUOTA: Final = "There can be {limit} versions of a function."  # ours
FUNCTION_VERSION_IN_USE: Final = "Unable to delete version because the following aliases reference it: [{aliases}]"
FUNCTION_ALIAS_NAME: Final = "Value {name!r} at 'name' failed to satisfy constraint: an alias is no number"  # ours
FUNCTION_ALIAS_EXISTS: Final = "Alias already exists: {arn}"
FUNCTION_ALIAS_UNKNOWN: Final = "Cannot find alias arn: {arn}"
FUNCTION_ALIAS_QUOTA: Final = "There can be {limit} aliases of a function."  # ours
ALIAS_ROUTING_LATEST: Final = "$LATEST is not supported for an alias pointing to more than 1 version"
ALIAS_ROUTING_MANY: Final = "Number of items in AdditionalVersionWeights cannot be greater than 1"
FUNCTION_STATEMENT_EXISTS: Final = (
    "The statement id ({sid}) provided already exists. Please provide a new statement id, or remove the existing statement."
)
FUNCTION_STATEMENT_UNKNOWN: Final = "Statement {sid} is not found in resource policy."
FUNCTION_STATEMENT_QUOTA: Final = "There can be {limit} statements in the policy of a function."  # ours
FUNCTION_POLICY_UNKNOWN: Final = "The resource you requested does not exist."
TOO_MANY_FUNCTION_TAGS: Final = "There can be {limit} tags on a function."  # ours
CONCURRENCY_UNRESERVED: Final = (
    "Specified ReservedConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its minimum value of "
    "[{least}]."
)
EVENT_CONFIG_UNKNOWN: Final = "The function {arn} doesn't have an EventInvokeConfig"
DESTINATION_FAILED: Final = "the result of an event could not be sent to {arn}: {problem}"  # ours
MAPPING_SOURCE: Final = "Unrecognized event source: {arn}"  # unconfirmed; here there are queues only
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
NOT_JSON: Final = "The result of the task is not JSON: it holds a value of type {kind}"  # ours
KEY_NOT_TEXT: Final = "The result of the task is not JSON: the key {key!r} is of type {kind}"  # ours
NO_ENGINE: Final = "Nested executions need an engine, and none is connected."  # ours

# --- the API ----------------------------------------------------------------------------------------------------------
INVALID_DEFINITION: Final = "Invalid State Machine Definition: '{text}'"
INVALID_ARN: Final = "Invalid Arn: 'Invalid ARN prefix: {arn}'"
INVALID_ARN_KIND: Final = "Invalid Arn: 'Resource type not valid in this context: {kind}'"
INVALID_NAME: Final = "Invalid Name: '{name}'"
INVALID_INPUT: Final = "Invalid State Machine Execution Input: '{text}'"
NO_INPUT: Final = "Invalid execution input."
EXECUTION_EXISTS: Final = "Execution Already Exists: '{arn}'"
EXECUTION_UNKNOWN: Final = "Execution Does Not Exist: '{arn}'"
MACHINE_UNKNOWN: Final = "State Machine Does Not Exist: '{arn}'"
MACHINE_EXISTS: Final = "State Machine Already Exists: '{arn}'"
INVALID_TOKEN: Final = "Invalid Token: 'Invalid token'"
TASK_TIMED_OUT: Final = "Task Timed Out: 'Provided task does not exist anymore'"
INVALID_OUTPUT: Final = "Invalid Output: '{text}'"
INPUT_TOO_LONG: Final = (
    "1 validation error detected: Value at 'input' failed to satisfy constraint: Member must have length less than or equal to {limit}"
)
NOTHING_TO_UPDATE: Final = "Either the definition, the role ARN, the LoggingConfiguration, or the TracingConfiguration must be specified"
NOT_REDRIVABLE: Final = "Execution is {status} and cannot be redriven"
REDRIVE_HISTORY_FULL: Final = "Execution history event limit exceeded"  # these four: from the documentation
REDRIVE_OPEN_TOO_LONG: Final = "Execution has exceeded the max execution time"
REDRIVE_TOO_LATE: Final = "Execution redrivable period exceeded"
REDRIVE_DELETING: Final = "State machine is in DELETING status"
REDRIVE_BY_MAP_RUN: Final = "Execution is a child of a Map Run and can only be redriven by redriving its parent"  # ours
REDRIVE_LIMIT: Final = "Execution was redriven {limit} times, which is the maximum"  # ours
MAP_RUN_COMPLETED: Final = "Map Run is completed and cannot be updated: '{arn}'"  # ours
TYPE_NOT_SUPPORTED: Final = "This operation is not supported by this type of state machine"
POLLER_LIMIT: Final = "The maximum number of workers concurrently polling for activity tasks has been reached."
ACTIVITY_UNKNOWN: Final = "Activity Does Not Exist: '{arn}'"
ACTIVITY_EXISTS: Final = "Activity Already Exists: '{arn}'"  # unconfirmed
MEMBER_TOO_LONG: Final = (
    "1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must have length less than or equal to {limit}"
)
OUTPUT_TOO_LONG: Final = "Output has more than {limit} bytes"  # ours
TASK_UNKNOWN: Final = "Task Does Not Exist: 'Provided task does not exist'"  # unconfirmed
MACHINE_DELETING: Final = "State Machine Deleting: '{arn}'"  # unconfirmed
RESOURCE_UNKNOWN: Final = "Resource not found: '{arn}'"
REFERENCE_UNKNOWN: Final = "Request references a resource that does not exist."
INVALID_ROLE: Final = "Invalid Role Arn: '{arn}'"  # as others report it
ONE_LOG_DESTINATION: Final = "Invalid Logging Configuration: Must specify exactly one Log Destination."
NO_LOG_DESTINATION: Final = "Invalid Logging Configuration: Log Destination not found."
DESCRIPTION_WITHOUT_PUBLISH: Final = "Version description can only be set when publish is true"
STALE_REVISION: Final = "Failed to publish the State Machine version for revision {given}. The current State Machine revision is {current}."
VERSION_IN_USE: Final = (
    "Version to be deleted must not be referenced by an alias. Current list of aliases referencing this version: [{names}]"
)
ROUTES_NOT_VERSIONS: Final = "Routing configuration must contain state machine version ARNs. Received: [{arns}]"
ROUTES_NOT_DISTINCT: Final = "Routing configuration must contain distinct state machine version ARNs. Received: [{arns}]"
ROUTES_SUM: Final = "Sum of routing configuration weights must equal 100. Received: [{weights}]"
ALIAS_ROUTED_OTHERWISE: Final = (
    "Failed to create alias because an alias with the same name and a different routing configuration already exists."
)
# From here on the words are ours: no recording shows AWS's.
ALIAS_DESCRIBED_OTHERWISE: Final = "Failed to create alias because an alias with the same name and a different description already exists."
ROUTES_OF_SEVERAL: Final = "Routing configuration must contain versions of one state machine. Received: [{arns}]"
NOTHING_TO_UPDATE_ALIAS: Final = "Either the description or the routingConfiguration must be specified"
VERSION_LIMIT: Final = "The state machine has {limit} versions, which is the maximum: '{arn}'"
ALIAS_LIMIT: Final = "The state machine has {limit} aliases, which is the maximum: '{arn}'"
ACTIVITY_LIMIT: Final = "There are {limit} activities, which is the maximum"
MACHINE_LIMIT: Final = "There are {limit} state machines, which is the maximum"
EXECUTION_LIMIT: Final = "{limit} executions are open, which is the maximum"
LABELLED_ARN: Final = "This operation does not take the ARN of a Distributed Map state: '{arn}'"
QUALIFIED_DELETE: Final = "DeleteStateMachineVersion and DeleteStateMachineAlias delete versions and aliases: '{arn}'"
ONE_OF_MACHINE_AND_MAP_RUN: Final = "Exactly one of stateMachineArn and mapRunArn must be specified"
FILTER_OF_MAP_RUN: Final = "{filter} can only be used with mapRunArn"
TOO_MANY_TAGS: Final = "The resource would have more than {limit} tags: '{arn}'"
BAD_TAG: Final = "Tags may have letters, digits, white space and any of _ . : / = + - @ only: '{text}'"
KEY_MISSING: Final = "Invalid Encryption Configuration: a customer managed key needs a kmsKeyId."
KEY_NOT_ALLOWED: Final = "Invalid Encryption Configuration: AWS_OWNED_KEY has neither kmsKeyId nor kmsDataKeyReusePeriodSeconds."

# --- signatures ---------------------------------------------------------------------------------------------------------
NO_AUTHENTICATION: Final = "Missing Authentication Token"
UNKNOWN_KEY: Final = "The security token included in the request is invalid."
WRONG_SIGNATURE: Final = (
    "The request signature we calculated does not match the signature you provided. "
    "Check your AWS Secret Access Key and signing method. Consult the service documentation for details."
)
SIGNATURE_EXPIRED: Final = "Signature expired: {time} is now earlier than {edge} ({now} - {minutes} min.)"
SIGNATURE_TOO_EARLY: Final = "Signature not yet current: {time} is still later than {edge} ({now} + {minutes} min.)"
REQUEST_EXPIRED: Final = "Request has expired."  # unconfirmed
WRONG_REGION: Final = "Credential should be scoped to a valid region, not '{given}'. "
WRONG_SERVICE: Final = "Credential should be scoped to correct service: '{wanted}'. "
WRONG_TERMINATOR: Final = "Credential should be scoped with a valid terminator: '{wanted}', not '{given}'. "  # unconfirmed
WRONG_DAY: Final = "Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: '{given}' != '{wanted}'"
NOT_SIGNED: Final = "'{header}' must be a 'SignedHeader' in the AWS Authorization."  # unconfirmed
BAD_ALGORITHM: Final = "Unsupported AWS 'algorithm': '{algorithm}'."  # unconfirmed
BAD_CREDENTIAL: Final = "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, got '{credential}'"
BAD_TIME: Final = "Date must be in ISO-8601 'basic format'. Got '{time}'. See http://en.wikipedia.org/wiki/ISO_8601"
BAD_EXPIRES: Final = "X-Amz-Expires must be a number of seconds of at most {most}."  # ours
NO_PARAMETER: Final = "Authorization header requires '{name}' parameter. Authorization={header}"
NO_QUERY_PARAMETER: Final = "AWS query-string parameters must include '{name}'. Re-examine the query-string parameters."
NO_DATE: Final = "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header."  # we accept the first alone

# --- the server ---------------------------------------------------------------------------------------------------------
THROTTLED: Final = "Rate exceeded"
WRONG_HOST: Final = "The Host {host} is not one of this server's names; --allow-host adds one."  # ours
WRONG_ORIGIN: Final = "Pages of {origin} may not call this server."  # ours
REQUEST_TOO_LARGE: Final = "The request is larger than {limit} bytes."  # ours
REQUEST_TOO_SLOW: Final = "The request did not arrive within {seconds:g} seconds."  # ours
READ_ONLY: Final = "This console only looks: the server was started with --read-only."  # ours
CROSS_SITE: Final = "Pages of other origins may not call this server."  # ours
NOT_BY_GET: Final = "{action} must be sent with POST: GET serves only the links that topics send."  # ours
CONSOLE_NOT_THERE: Final = "There is no such thing here."  # ours
TOO_MANY_STREAMS: Final = "Too many pages are open."  # ours
STOPPING: Final = "The server is stopping."  # ours

# --- the wire: what AWS's front end says before an operation sees its request -------------------------------------------------
VALIDATION: Final = "1 validation error detected: {errors}"
VALIDATIONS: Final = "{count} validation errors detected: {errors}"
CONSTRAINT: Final = "Value '{value}' at '{at}' failed to satisfy constraint: {rule}"
CONSTRAINT_SECRET: Final = "Value at '{at}' failed to satisfy constraint: {rule}"  # unconfirmed here: so for other services
MEMBER_NULL: Final = "Value null at '{at}' failed to satisfy constraint: Member must not be null"
RULE_LONGEST: Final = "Member must have length less than or equal to {limit}"
RULE_SHORTEST: Final = "Member must have length greater than or equal to {limit}"
RULE_LARGEST: Final = "Member must have value less than or equal to {limit}"
RULE_SMALLEST: Final = "Member must have value greater than or equal to {limit}"
RULE_PATTERN: Final = "Member must satisfy regular expression pattern: {pattern}"
RULE_ENUM: Final = "Member must satisfy enum value set: [{values}]"
RULE_ITEMS: Final = "Member must satisfy constraint: [{rules}]"  # these three: so for other services
RULE_KEYS: Final = "Map keys must satisfy constraint: [{rules}]"
RULE_VALUES: Final = "Map value must satisfy constraint: [{rules}]"
REDACTED: Final = "***Sensitive Data Redacted***"
WRONG_TYPE: Final = "{found} can not be converted to {wanted}"
NO_STRUCTURE: Final = "Start of structure or map found where not expected."
NO_LIST: Final = "Start of list found where not expected"
EXPECTED: Final = "Expected {wanted} or null"
INTERNAL_FAILURE: Final = "The request processing has failed because of an unknown error, exception or failure."
UNAVAILABLE: Final = "The request has failed due to a temporary failure of the server."
INVALID_ACTION: Final = "The action {action} is not valid for this web service: version {version}"  # unconfirmed
NOT_IMPLEMENTED: Final = "{operation} of {service} is not implemented here"  # ours

# --- TestState ------------------------------------------------------------------------------------------------------------
STATE_NOT_FOUND: Final = "State not found in definition"
MOCK_NEEDED: Final = (
    "TestState API does not support Map or Parallel states. Supported state types include: [Task, Wait, Pass, Succeed, Fail, Choice]"
)
MOCK_NEEDED_BY_TASK: Final = (  # ours
    "TestState API does not support activities and the '.sync' and '.waitForTaskToken' service integration patterns "
    "when a mock is not specified."
)
ROLE_NEEDED: Final = "RoleArn must be specified when testing a Task state"
MOCK_ONE_FIELD: Final = "A test mock should have only one of the following fields: [result, errorOutput]."
MOCK_NO_SECRETS: Final = "TestState does not support RevealSecrets when a mock is specified."
MOCK_NOT_FOR_TYPE: Final = "State type '{type}' is not supported when a mock is specified"
NEEDS_MOCK: Final = "TestState does not support {field} when a mock is not specified."  # unconfirmed but for MapIterationFailureCount
MOCK_NOT_JSON: Final = "Mocked result must be valid JSON"
MOCK_NOT_ARRAY: Final = "Mocked result must be an array."
MOCK_NOT_OBJECT: Final = "Mocked result must be a JSON object."
MOCK_BRANCHES: Final = "Mocked result must contain the same number of items as number of Parallel branches."
MOCK_SCHEMA: Final = "Mock result schema validation error: {text}"
MOCK_REQUIRED: Final = "Required field '{field}' is missing"
MOCK_TYPE: Final = "Field '{field}' must be {type}"  # "a string", "a number", "an array"; the other types in the same words
MOCK_ENUM: Final = "Field '{field}' is not an expected value"
MOCK_SHORT: Final = "Field '{field}' is smaller than the minimum length"
MOCK_LONG: Final = "Field '{field}' exceeds the maximum length"  # in the words of the others
MOCK_SMALL: Final = "Field '{field}' is less than the minimum value"
MOCK_LARGE: Final = "Field '{field}' exceeds the maximum value"
ITERATION_FAILURES: Final = "Map iteration failure count must be less than or equal to the number of Map iterations"
ERROR_STATE_UNKNOWN: Final = "errorCausedByState must be the name of a state inside the Map or Parallel state under test"  # ours
CONTEXT: Final = "Invalid Context object provided: {text}"
CONTEXT_FIELD: Final = "Field '{field}' is not allowed"
CONTEXT_TYPE: Final = "{field} must be {type}"
CONTEXT_MAP: Final = "'Map' field is not supported when mocking a Context object"
CONTEXT_TASK: Final = (
    "Context object contains 'Task' when state is not a Task state with a '.sync' or '.waitForTaskToken' service integration pattern"
)
CONTEXT_NOT_OBJECT: Final = "it must be a JSON object"  # ours
VARIABLES_NOT_OBJECT: Final = "Invalid variables provided: they must be a JSON object"  # ours

# --- what an ItemReader reads -----------------------------------------------------------------------------------------------
NOT_ITERABLE: Final = "Attempting to map over non-iterable node."
CSV_DUPLICATES: Final = "CSV headers cannot contain duplicates."
MAX_ITEMS_NEGATIVE: Final = "field MaxItems must be positive"
BAD_DATASET: Final = "The dataset is not valid {kind}: {reason}"  # ours
DATASET_IS_BINARY: Final = "A dataset of the type {kind} is no text: export it as CSV or JSONL"  # ours
DATASET_TOO_LARGE: Final = "The dataset {where} is larger than {limit} bytes"  # ours
DATASET_NOT_READ: Final = "The dataset {where} cannot be read: {reason}"  # ours
POINTER_NOT_FOUND: Final = "The ItemsPointer '{pointer}' points to nothing in the dataset"  # ours

# --- patterns over events: the words of AWS's open-source matcher where it has any ----------------------------------------------
INVALID_PATTERN: Final = "Event pattern is not valid. Reason: {reason}"
PATTERN_NOT_OBJECT: Final = "Filter is not an object"
PATTERN_EMPTY: Final = "Empty objects are not allowed"
PATTERN_EMPTY_LIST: Final = "Empty arrays are not allowed"
PATTERN_FIELD: Final = '"{name}" must be an object or an array'
PATTERN_VALUE: Final = "Match value must be String, number, true, false, or null"
PATTERN_ONE_KEY: Final = "Only one key allowed in match expression"
PATTERN_OPERATOR: Final = "Unrecognized match type {name}"
PATTERN_EXISTS: Final = "exists match pattern must be either true or false."
PATTERN_TEXT: Final = "{name} match pattern must be a string"
PATTERN_ESCAPE: Final = "Invalid escape character at pos {at}"
PATTERN_STARS: Final = "Consecutive wildcard characters at pos {at}"
PATTERN_NUMERIC: Final = "Value of numeric must be an array."
PATTERN_NUMERIC_TERMS: Final = "Numeric match must have one comparison, or a lower bound and an upper one"  # ours
PATTERN_NUMERIC_SIGN: Final = "Unrecognized numeric range operator: {sign}"
PATTERN_NUMERIC_VALUE: Final = "Value must be numeric, between {most:.0e} and -{most:.0e}"  # ours
PATTERN_NUMERIC_RANGE: Final = "Bottom must be less than top"
PATTERN_CIDR: Final = "Malformed CIDR: {value}"  # ours
PATTERN_TOO_COMPLEX: Final = "The pattern stands for more than {limit} combinations"  # ours
PATTERN_TOO_DEEP: Final = "The pattern is nested too deeply"  # ours

# --- HTTP that goes out: ours ---------------------------------------------------------------------------------------------------
HTTP_TIMEOUT: Final = "The endpoint did not answer in time"
HTTP_FORBIDDEN: Final = "{host} leads to an address that may not be called from here"
HTTP_BAD_URL: Final = "Not a URL that can be called: {url}"
HTTP_BAD_HEADER: Final = "A header has letters that HTTP does not allow"
HTTP_TOO_LARGE: Final = "The answer has more than {limit} bytes"
HTTP_CUT_OFF: Final = "The connection ended before the answer did"

# --- EventBridge: as others report it, or ours ------------------------------------------------------------------------------------
BUS_UNKNOWN: Final = "Event bus {name} does not exist."
BUS_EXISTS: Final = "Event bus {name} already exists."
BUS_NAME: Final = "Event bus name must not contain '/': {name}"
BUS_DEFAULT: Final = "Cannot delete event bus default."
BUS_HAS_RULES: Final = "Event bus can't be deleted since it has rules."
BUS_POLICY: Final = "Parameter Policy is not valid, or StatementId, Action and Principal are missing."
STATEMENT_UNKNOWN: Final = "Statement {id} does not exist."
RULE_UNKNOWN: Final = "Rule {name} does not exist on EventBus {bus}."
RULE_EMPTY: Final = "Parameter(s) EventPattern or ScheduleExpression must be specified."
RULE_HAS_TARGETS: Final = "Rule can't be deleted since it has targets."
SCHEDULE_ON_DEFAULT: Final = "ScheduleExpression is supported only on the default event bus."
BAD_SCHEDULE: Final = "Parameter ScheduleExpression is not valid."
SCHEDULER_BAD_SCHEDULE: Final = "Invalid Schedule Expression {expression}."
BAD_TIME_ZONE: Final = "Invalid Schedule Expression Timezone: {zone}"
TARGET_ARN: Final = "Parameter {arn} is not valid. Reason: Provided Arn is not in correct format."
TARGET_ID_UNKNOWN: Final = "Rule does not have a target with the id {id}."
TARGET_UNKNOWN: Final = "Nothing here takes deliveries for {arn}"
LIMIT_EXCEEDED: Final = "The requested resource exceeds the maximum number allowed."
EVENTS_RESOURCE_UNKNOWN: Final = "Resource {arn} does not exist."
ENTRY_REQUIRED: Final = "Parameter {name} is not valid. Reason: {name} is a required argument."  # recorded
ENTRY_DETAIL: Final = "Detail is malformed."  # recorded
ENTRY_SOURCE: Final = "Not authorized for the source."
EVENTS_TOO_LARGE: Final = "Total size of the entries in the request is over the limit."
EVENT_NOT_JSON: Final = "Parameter Event is not valid. Reason: {text}"
FORWARDED_NO_EVENT: Final = "What a bus receives must be an event"
TOO_MANY_HOPS: Final = "The event has passed more than {limit} buses"
ONE_INPUT: Final = "Only one of Input, InputPath, or InputTransformer must be provided for target {id}."
INPUT_NOT_JSON: Final = "JSON syntax error in input: {text}"
INPUT_PATH: Final = "Invalid InputPath: {path}"
TRANSFORMER_RESERVED: Final = "Parameter InputPathsMap is not valid. Reason: {name} begins with AWS."
TRANSFORMER_VARIABLE: Final = "InputTemplate for target contains placeholder {name} that is not in InputPathsMap."
ARCHIVE_UNKNOWN: Final = "Archive {name} does not exist."
ARCHIVE_EXISTS: Final = "Archive {name} already exists."
REPLAY_UNKNOWN: Final = "Replay {name} does not exist."
REPLAY_EXISTS: Final = "Replay {name} already exists."
REPLAY_TIMES: Final = "Parameter EventEndTime is not valid. Reason: EventStartTime must be before EventEndTime."
REPLAY_DESTINATION: Final = "Parameter Destination.Arn is not valid. Reason: The event bus must be that of the archive."
REPLAY_STATE: Final = "Replay {name} is not in a valid state for this operation."
CONNECTION_UNKNOWN: Final = "Connection '{name}' does not exist."
CONNECTION_EXISTS: Final = "Connection '{name}' already exists."
CONNECTION_PARAMETERS: Final = "Parameter AuthParameters is not valid. Reason: {type} needs its own parameters."
DESTINATION_UNKNOWN: Final = "An api-destination '{name}' does not exist."
DESTINATION_EXISTS: Final = "An api-destination '{name}' already exists."
DESTINATION_STATUS: Final = "The endpoint answered {status}"
OAUTH_FAILED: Final = "The authorization endpoint answered {status}"
OAUTH_NO_TOKEN: Final = "The authorization endpoint gave no access_token"

# --- HTTP APIs: as others report it, or ours --------------------------------------------------------------------------------------
API_UNKNOWN: Final = "Invalid API identifier specified {account}:{id}"
ROUTE_UNKNOWN: Final = "Invalid Route identifier specified {id}"
INTEGRATION_UNKNOWN: Final = "Invalid Integration identifier specified {id}"
STAGE_UNKNOWN: Final = "Invalid stage identifier specified {id}"
DEPLOYMENT_UNKNOWN: Final = "Invalid deployment identifier specified {id}"
API_NOT_FOUND: Final = "Not Found"
API_FORBIDDEN: Final = "Forbidden"
API_FAULT: Final = "Internal Server Error"
API_TIMEOUT: Final = "Service Unavailable"
API_TOO_LARGE: Final = "Request Entity Too Large"
API_SLOW: Final = "Request Timeout"
API_PROTOCOL: Final = "APIs of the protocol {type} are not served here: only HTTP is"  # ours, as are those below
API_MEMBER: Final = "{name} can only be given when an API is created"
API_MAX_RESULTS: Final = "MaxResults must be a number"
CORS_CREDENTIALS: Final = "allowCredentials cannot be true when allowOrigins has *"
ROUTE_KEY: Final = (
    "The provided route key is not formatted properly for HTTP protocol. Format should be '<HTTP METHOD> /<RESOURCE PATH>' or '$default'"
)
ROUTE_GREEDY: Final = "A greedy path variable must be at the end of the path"
ROUTE_EXISTS: Final = "Route with key {key} already exists for this API"
ROUTE_TARGET: Final = "Target {target} is not integrations/ID of an integration of this API"
ROUTE_AUTHORIZATION: Final = "Routes with authorization of the type {type} are not served here: only NONE and AWS_IAM are"
INTEGRATION_TYPE: Final = "Integrations of the type {type} are not served here: only AWS_PROXY over the INTERNET is"
INTEGRATION_SUBTYPE: Final = "Integrations of the subtype {subtype} are not served here"
INTEGRATION_URI: Final = "Invalid function ARN or invalid uri"
INTEGRATION_USED: Final = "Integration {id} is the target of the route {route}"
PAYLOAD_FORMAT: Final = "PayloadFormatVersion is a required parameter for integration: 1.0, or 2.0 for functions"
API_PARAMETER_MISSING: Final = "Missing required parameter: {name}"
API_PARAMETER_UNKNOWN: Final = "Parameter {name} is not one of {subtype}"
MAPPING: Final = "Invalid mapping expression specified: {text}"
STAGE_EXISTS: Final = "Stage already exists"
DEPLOYMENT_AUTO: Final = "Deployment ID cannot be set on a stage with auto deploy enabled"
DEPLOYMENT_USED: Final = "Active stages pointing to this deployment must be moved or deleted"

# --- rules of MQTT topics: ours ---------------------------------------------------------------------------------------------------
SQL_SYNTAX: Final = "The SQL statement is not valid at line {line}, column {column}"
SQL_TOO_LONG: Final = "The SQL statement has more than {limit} characters"
SQL_TOO_DEEP: Final = "The SQL statement is nested too deeply"
SQL_ALIAS: Final = "What is selected needs a name here: AS name"
SQL_FUNCTION: Final = "There is no function {name} here"
SQL_ARGUMENTS: Final = "The function {name} does not take {count} arguments"
SQL_TYPE: Final = "There is no type {name}"
SQL_VERSION: Final = "There is no SQL version {version}"
MQTT_TOPIC: Final = "The topic {topic} is not valid"
MQTT_FILTER: Final = "The topic filter {filter} is not valid"
TOPIC_RULE_EXISTS: Final = "Rule with name {name} already exists"
TOPIC_RULE_UNKNOWN: Final = "Access to topic rule '{name}' was denied"  # AWS's
ONE_ACTION: Final = "An action must have exactly one type"
ACTION_UNKNOWN: Final = "Actions of the type {kind} are not served here: only {known} are"
MQTT_PAYLOAD: Final = "The payload has more than {limit} bytes"
MQTT_NO_TEXT: Final = "The payload is no text of UTF-8: encode(*, 'base64') makes one"
REPUBLISH_HOPS: Final = "The message was republished more than {limit} times"
BROKER_AWAY: Final = "The MQTT broker cannot be reached, or did not confirm the message"

# --- SNS: as others report it; those marked are ours --------------------------------------------------------------------------------
SNS_INVALID: Final = "Invalid parameter: {text}"
SNS_ARN: Final = "{member} Reason: An ARN must have at least 6 elements, not {count}"
SNS_NO_TOPIC: Final = "Topic does not exist"
SNS_NO_SUBSCRIPTION: Final = "Subscription does not exist"
SNS_NO_RESOURCE: Final = "Resource does not exist"
SNS_TOPIC_NAME: Final = "Topic Name"
SNS_FIFO_NAME: Final = (
    "Fifo Topic names must end with .fifo and must be made up of only uppercase and lowercase ASCII letters, numbers, underscores, "
    "and hyphens, and must be between 1 and 256 characters long."
)
SNS_OTHER_ATTRIBUTES: Final = "Attributes Reason: Topic already exists with different attributes"
SNS_OTHER_TAGS: Final = "Tags Reason: Topic already exists with different tags"
SNS_ATTRIBUTE_NAME: Final = "AttributeName"
SNS_ATTRIBUTES: Final = "Attributes Reason: {text}"
SNS_UNKNOWN_ATTRIBUTE: Final = "Unknown attribute: {name}"  # ours
SNS_ATTRIBUTE_VALUE: Final = "{name} Reason: the value {value} is not valid"  # ours
SNS_NOT_FIFO: Final = "{name} Reason: only FIFO topics have it"  # ours
SNS_LARGE: Final = (  # ours
    "MaximumMessageSize Reason: a topic above {usual} bytes has at most {most} subscriptions, each of a queue or a function"
)
SNS_NO_ARCHIVE: Final = "{name} Reason: messages are not archived here"  # ours
SNS_BOOLEAN: Final = "{name}: Invalid value [{value}]. Must be true or false."
SNS_SCOPE: Final = "FilterPolicyScope: Invalid value [{value}]. Please use either MessageBody or MessageAttributes"
SNS_NOT_JSON: Final = "{name}: failed to parse JSON."
SNS_FILTER: Final = "FilterPolicy: {text}"
SNS_FILTER_KEYS: Final = "Filter policy can not have more than {limit} keys"
SNS_FILTER_COMPLEX: Final = "Filter policy is too complex"
SNS_FILTER_NESTED: Final = "Filter policy scope MessageAttributes does not support nested filter policy"
SNS_FILTER_LARGE: Final = "Filter policy is larger than {limit} bytes"  # ours
SNS_FILTERS: Final = "Subscription with filter policy limit of {limit} reached"  # ours
SNS_REDRIVE: Final = "RedrivePolicy: deadLetterTargetArn is an invalid arn"
SNS_DELIVERY_POLICY: Final = "DeliveryPolicy: {text}"
SNS_POLICY_RANGE: Final = "{name} must be between {least} and {most}"  # ours
SNS_POLICY_ORDER: Final = "minDelayTarget must be less than or equal to maxDelayTarget"  # ours
SNS_POLICY_COUNTS: Final = "the retries of the phases are more than numRetries"  # ours
SNS_POLICY_FUNCTION: Final = "backoffFunction must be one of [{values}]"  # ours
SNS_POLICY_TIME: Final = "the retries take more than {limit} seconds"  # ours
SNS_POLICY_UNKNOWN: Final = "Unexpected JSON member: {name}"
SNS_TOPICS: Final = "Topic limit of {limit} reached"  # ours
SNS_SUBSCRIPTIONS: Final = "Subscription limit of {limit} reached"  # ours
SNS_TAGS: Final = "Could not complete request: tag quota of per resource exceeded"
SNS_SAME_TAGS: Final = "Duplicated keys are not allowed."
SNS_LABEL: Final = "Statement already exists"
SNS_NO_LABEL: Final = "Label Reason: Statement does not exist"  # ours
SNS_ACTION: Final = "Policy statement action out of service scope!"
SNS_PRINCIPAL: Final = "AWSAccountId Reason: {account} is no account id"  # ours
SNS_PROTOCOL: Final = "Amazon SNS does not support this protocol string: {protocol}"
SNS_FIREHOSE: Final = "Protocol Reason: there is no Firehose here to deliver to"  # ours
SNS_FIFO_PROTOCOL: Final = "Protocol Reason: FIFO topics deliver to queues only"  # ours
SNS_ENDPOINT: Final = "Endpoint must match the specified protocol"
SNS_ENDPOINT_OF: Final = {
    "sqs": "SQS endpoint ARN",
    "lambda": "Lambda endpoint ARN",
    "email": "Email address",
    "email-json": "Email address",
    "sms": "Invalid SMS endpoint: {endpoint}",
    "application": "Application endpoint arn invalid: {endpoint}",
}
SNS_FIFO_QUEUE: Final = "Invalid parameter: Endpoint Reason: FIFO SQS Queues can not be subscribed to standard SNS topics"
SNS_RAW: Final = "Delivery protocol [{protocol}] does not support raw message delivery."
SNS_SUBSCRIBED: Final = "Attributes Reason: Subscription already exists with different attributes"
SNS_TOKEN: Final = "Token"
SNS_UNSUBSCRIBE: Final = "Only a signed request may do this"  # ours
SNS_NO_TARGET: Final = "TopicArn or TargetArn Reason: no value for required parameter"
SNS_PHONE: Final = "PhoneNumber Reason: {phone} is not valid to publish to"
SNS_EMPTY: Final = "Empty message"
SNS_TOO_LONG: Final = "Message too long"
SNS_SUBJECT: Final = "Subject"
SNS_STRUCTURE: Final = "MessageStructure"
SNS_STRUCTURE_JSON: Final = "Message Structure - JSON message body failed to parse"
SNS_STRUCTURE_DEFAULT: Final = "Message Structure - No default entry in JSON message body"
SNS_GROUP: Final = "The MessageGroupId parameter is required for FIFO topics"  # recorded
SNS_DEDUPLICATION: Final = "The topic should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
SNS_NO_DEDUPLICATION: Final = (
    "MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this topic type"
)
SNS_FIFO_ID: Final = "{name} Reason: {name} can only include alphanumeric and punctuation characters. 1 to 128 in length"  # ours
SNS_ATTRIBUTE_LETTER: Final = (
    "Invalid non-alphanumeric character '#x{code:X}' was found in the message attribute name. "
    "Can only include alphanumeric characters, hyphens, underscores, or dots."
)
SNS_ATTRIBUTE_DOTS: Final = (
    "Invalid message attribute name. Name can't start or end with a dot, have dots in a row, or be longer than 256 letters."  # ours
)
SNS_ATTRIBUTE_NO_TYPE: Final = "The message attribute '{name}' must contain non-empty message attribute type."
SNS_ATTRIBUTE_TYPE: Final = (
    "The message attribute '{name}' has an invalid message attribute type, "
    "the set of supported type prefixes is Binary, Number, and String."
)
SNS_ATTRIBUTE_FIELD: Final = "The message attribute '{name}' with type '{type}' must use field '{field}'."
SNS_ATTRIBUTE_EMPTY: Final = (
    "The message attribute '{name}' must contain non-empty message attribute value for message attribute type '{type}'."
)
SNS_ATTRIBUTE_NUMBER: Final = "Could not cast message attribute '{name}' value to number."
SNS_ATTRIBUTE_ARRAY: Final = "Invalid JSON array in message attribute '{name}'."  # ours
SNS_BATCH_EMPTY: Final = "The batch request doesn't contain any entries."
SNS_BATCH_MANY: Final = "The batch request contains more entries than permissible."
SNS_BATCH_IDS: Final = "Two or more batch entries in the request have the same Id."
SNS_BATCH_ID: Final = "The Id of a batch entry in a batch request doesn't abide by the specification."
SNS_BATCH_LONG: Final = "The length of all the messages put together is more than the limit."
SNS_THROTTLED: Final = "Rate exceeded"
SNS_RAW_ATTRIBUTES: Final = "A queue takes no more than {limit} message attributes with a raw message"  # ours
SNS_HTTP_STATUS: Final = "The endpoint answered {status}"  # ours
SNS_MAIL_REFUSED: Final = "The mail server refused the message: {text}"  # ours
SNS_MAIL_UNREACHABLE: Final = "The mail server cannot be reached: {text}"  # ours
SNS_CONFIRM: Final = (
    "You have chosen to subscribe to the topic {topic}.\nTo confirm the subscription, visit the SubscribeURL included in this message."
)
SNS_RENEW: Final = (
    "You have chosen to deactivate subscription {subscription}.\n"
    "To cancel this operation and restore the subscription, visit the SubscribeURL included in this message."
)
SNS_MAIL_SUBJECT: Final = {
    "Notification": "AWS Notification Message",
    "SubscriptionConfirmation": "AWS Notification - Subscription Confirmation",
    "UnsubscribeConfirmation": "AWS Notification - Unsubscribe Confirmation",
}
SNS_MAIL_BODY: Final = {
    "Notification": (
        "{text}\n\n--\nIf you wish to stop receiving notifications from this topic, please click or visit the link below to unsubscribe:\n"
        "{url}\n\nPlease do not reply directly to this email.\n"
    ),
    "SubscriptionConfirmation": (
        "You have chosen to subscribe to the topic:\n{topic}\n\n"
        "To confirm this subscription, click or visit the link below (If this was in error no action is necessary):\n{url}\n"
    ),
    "UnsubscribeConfirmation": (
        "Your subscription to the topic below has been deleted:\n{topic}\n\n"
        "If this was an accident, click or visit the link below to subscribe again:\n{url}\n"
    ),
}
SNS_APPLICATION_UNKNOWN: Final = "PlatformApplication does not exist"
SNS_ENDPOINT_UNKNOWN: Final = "Endpoint does not exist"
SNS_ENDPOINT_DISABLED: Final = "Endpoint is disabled"
SNS_ENDPOINT_EXISTS: Final = "Token Reason: Endpoint {arn} already exists with the same Token, but different attributes."
SNS_PLATFORM: Final = "Platform Reason: {platform} is not supported"
SNS_PLATFORM_EXISTS: Final = "Attributes Reason: Application already exists with different attributes"  # ours
SNS_PLATFORM_LIMIT: Final = "{name} limit of {limit} reached"  # ours
SNS_KEY: Final = "The key {path} cannot be used: {text}"  # ours
SNS_KEY_WRONG: Final = "The key {path} is not that of the messages that wait"  # ours

# --- SQS: as others report it, unless marked --------------------------------------------------------------------------------------
PARAMETER_MISSING: Final = "The request must contain the parameter {name}."  # recorded
PARAMETER_VALUE: Final = "Value {value} for parameter {name} is invalid. Reason: {reason}"
QUEUE_UNKNOWN: Final = "The specified queue does not exist."
QUEUE_ADDRESS: Final = "The address {url} is not valid for this endpoint."
QUEUE_NAME: Final = "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
QUEUE_NAME_FIFO: Final = (
    "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 "
    "in length."
)
QUEUE_EXISTS: Final = "A queue already exists with the same name and a different value for attribute {name}"
QUEUE_DELETED: Final = "You must wait {seconds} seconds after deleting a queue before you can create another with the same name."
QUEUE_QUOTA: Final = "There are {limit} queues, which is the maximum."  # ours
QUEUE_FULL: Final = "There are {limit} messages in all queues, which is the maximum."  # ours
QUEUE_PURGED: Final = "Only one PurgeQueue operation on {name} is allowed every {seconds} seconds."
QUEUE_IN_FLIGHT: Final = "Too many messages are in flight: {limit} is the maximum."  # ours
QUEUE_POLLERS: Final = "{limit} calls wait for messages of this queue, which is the maximum."  # ours
QUEUE_ATTRIBUTE_UNKNOWN: Final = "Unknown Attribute {name}."
QUEUE_ATTRIBUTE_VALUE: Final = "Invalid value for the parameter {name}."
QUEUE_TAGS: Final = "Too many tags added for queue {name}."
QUEUE_PAGE: Final = "MaxResults must be an integer between 1 and {limit}."
QUEUE_TOKEN: Final = "Invalid or expired next token."
REDRIVE_NO_MAP: Final = "Redrive policy is not a valid JSON map."
REDRIVE_MANDATORY: Final = "Redrive policy does not contain mandatory attribute: {name}."
REDRIVE_COUNT: Final = "Invalid value for maxReceiveCount: {value}, valid values are from 1 to 1000 both inclusive."
REDRIVE_NO_TARGET: Final = "Dead letter target does not exist."
REDRIVE_TYPES: Final = "Dead-letter queue must be same type of queue as the source."
REDRIVE_NOT_ALLOWED: Final = "Queue {arn} does not allow this queue to use it as its dead-letter queue."  # ours
MESSAGE_LETTERS: Final = (
    "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
)
MESSAGE_SIZE: Final = "One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes."
MESSAGE_GROUP: Final = "{name} can only include alphanumeric and punctuation characters. 1 to 128 in length."
MESSAGE_DEDUPLICATION: Final = (
    "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
)
MESSAGE_NOT_FOR_TYPE: Final = "The request include parameter that is not valid for this queue type."
MESSAGE_DELAY: Final = "DelaySeconds must be >= 0 and <= 900."
MESSAGE_ATTRIBUTES: Final = "Number of message attributes [{count}] exceeds the allowed maximum [{limit}]."
MESSAGE_ATTRIBUTE_NAME: Final = (
    "Message (user) attribute name '{name}' is invalid: it can contain A-Z, a-z, 0-9, underscore (_), hyphen (-) and period (.), must not "
    "start or end with a period or have two of them in a row, must not begin with AWS. or Amazon., and be 1 to 256 in length."  # ours
)
MESSAGE_ATTRIBUTE_TYPE: Final = (
    "The type of message (user) attribute '{name}' is invalid. You must use only the following supported type prefixes: Binary, Number, "
    "String."
)
MESSAGE_ATTRIBUTE_NO_TYPE: Final = "Message (user) attribute '{name}' must contain a non-empty attribute type."
MESSAGE_ATTRIBUTE_EMPTY: Final = "Message (user) attribute '{name}' must contain a non-empty value of type '{type}'."
MESSAGE_ATTRIBUTE_NUMBER: Final = "Can't cast the value of message (user) attribute '{name}' to a number."
MESSAGE_ATTRIBUTE_LIST: Final = "Message attribute list values in SendMessage operation are not supported."
MESSAGE_SYSTEM_ATTRIBUTE: Final = "Message system attribute name '{name}' is invalid."
BATCH_EMPTY: Final = "There should be at least one {entry} in the request."
BATCH_SIZE: Final = "Maximum number of entries per request are {limit}. You have sent {count}."
BATCH_BYTES: Final = "Batch requests cannot be longer than {limit} bytes. You have sent {count} bytes."
BATCH_ID: Final = "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 letters long."
BATCH_ID_TWICE: Final = "Id {id} repeated."
RECEIVE_MOST: Final = "Must be between 1 and {limit}, if provided."
RECEIVE_WAIT: Final = "Must be >= 0 and <= 20, if provided."
VISIBILITY_RANGE: Final = "Must be between 0 and 43200."
RECEIPT_INVALID: Final = 'The input receipt handle "{handle}" is not a valid receipt handle.'
RECEIPT_GONE: Final = "Message does not exist or is not available for visibility timeout change."
RECEIPT_EXPIRED: Final = "The receipt handle has expired."
MESSAGE_NOT_IN_FLIGHT: Final = "The message referred to is not in flight."  # ours
LABEL_TWICE: Final = "Already exists."
LABEL_UNKNOWN: Final = "can't find label."
MOVE_NOT_DEAD_LETTERS: Final = "Source queue must be configured as a Dead Letter Queue."
MOVE_RESOURCE: Final = "The resource that you specified for the {name} parameter doesn't exist."
MOVE_TYPES: Final = "Source queue and destination queue must be of the same type."  # ours
MOVE_RUNNING: Final = "There is already a task running. Only one active task is allowed for a source queue arn at a given time."
MOVE_UNKNOWN: Final = "Task does not exist."
MOVE_ENDED: Final = "Only active tasks can be cancelled."
MOVE_RATE: Final = "Value must be between 1 and 500."  # ours
MOVE_RESULTS: Final = "Value must be between 1 and 10."  # ours

# --- services of others ---------------------------------------------------------------------------------------------------------
NO_SERVICE: Final = "No service here handles the resource {resource}."  # ours
SDK_FAULT: Final = "{message} (Service: {service}, Status Code: {status}, Request ID: {request}{extended})"
SDK_ATTEMPTS: Final = " (SDK Attempt Count: 1)"
AWS_UNREACHABLE: Final = "Unable to execute HTTP request: {text}"
AWS_NOT_ALLOWED: Final = (  # ours
    "Unable to execute HTTP request: no endpoint is configured for {service} (--aws-endpoint {service}=URL), "
    "and AWS itself may not be called (--allow-aws)"
)
AWS_TOO_MANY: Final = "Unable to execute HTTP request: too many calls wait already"  # ours
HTTP_STATUS: Final = "States.Http.StatusCode.{status}"
HTTP_SOCKET: Final = "States.Http.Socket"
CONNECTION_NOT_FOUND: Final = "Events.ConnectionResource.ResourceNotFound"  # unconfirmed, as is the next
CONNECTION_REFUSED: Final = "Events.ConnectionResource.AuthorizationFailure"
HEADER_NOT_ALLOWED: Final = "The header '{name}' is not allowed"  # ours
SCHEDULE_UNKNOWN: Final = "Schedule {name} does not exist."
SCHEDULE_EXISTS: Final = "Schedule {name} already exists."
GROUP_UNKNOWN: Final = "Schedule group {name} does not exist."
GROUP_EXISTS: Final = "Schedule group {name} already exists."
GROUP_DEFAULT: Final = "The default schedule group can not be deleted."
BAD_WINDOW: Final = "MaximumWindowInMinutes must be provided if the flexible time window's mode is FLEXIBLE, and only then."
BAD_END_DATE: Final = "The EndDate you specify must come after the StartDate and must not be in the past."
ACCESS_DENIED: Final = "User: {user} is not authorized to perform: {action} on resource: {resource} {why}"
DENIED_IMPLICITLY: Final = "because no {kind}-based policy allows the {action} action"
DENIED_EXPLICITLY: Final = "with an explicit deny in {article} {kind}-based policy"
