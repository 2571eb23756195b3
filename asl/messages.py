"""The table of all texts and error names of the language. Placeholders are for str.format.

Without a comment, a text is AWS's, recorded from the real service. Marked are Jayway's texts,
"unconfirmed" ones (reported, but not recorded) and "ours", where AWS's text is unknown.
"""

from typing import Final

# --- error names ----------------------------------------------------------------------------------
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

# --- running --------------------------------------------------------------------------------------
PATH_NOT_FOUND: Final = "The JSONPath '{path}' specified for the field '{field}' could not be found in the input '{input}'"
INVALID_PATH: Final = "Invalid path '{path}' : {reason}"
NO_RESULTS: Final = "No results for path: {normalized}"
MISSING_PROPERTY: Final = "Missing property in path {normalized}"
ARRAYS_ONLY: Final = (
    "Filter: {filter} can only be applied to arrays. Current context is: {value}"  # Jayway's
)
PATH_IS_NULL: Final = "The path {path} is null"  # Jayway's
OBJECT_EXPECTED: Final = (  # Jayway's; AWS's choice of JSON provider is unconfirmed
    "Expected to find an object with property {property} in path {path} but found '{found}'. "
    "This is not a json object according to the JsonProvider: 'com.jayway.jsonpath.spi.json.JacksonJsonProvider'."
)
NO_PRIMITIVES: Final = (
    "Filter: {filter} can not be applied to primitives. Current context is: {value}"  # Jayway's
)
NO_SUCH_VARIABLE: Final = "The variable '${name}' has no value."  # unconfirmed
INTRINSIC_FAILED: Final = "The function '{call}' had the following error: {reason}"  # unconfirmed
# unconfirmed
INTRINSIC_PATH: Final = (
    "The JsonPath argument for the field '{path}' could not be found in the input '{input}'"
)
# Why a function failed; ours:
INTRINSIC_ARGUMENT: Final = "Argument {number} must be {wanted}"
INTRINSIC_TEMPLATE: Final = "The template needs {slots} values, but got {values}"
INTRINSIC_JSON: Final = "Argument 1 is not valid JSON: {reason}"
INTRINSIC_BASE64: Final = "Argument 1 is not valid Base64: {reason}"
INTRINSIC_RANGE: Final = "The array would have more than {limit} items"
INTRINSIC_INDEX: Final = "The index {index} is out of the bounds of an array of {length} items"
INTRINSIC_DEPTH: Final = "An argument is nested too deeply"
# Why a path cannot be evaluated; Jayway's unless marked:
EMPTY_AGGREGATE: Final = "Aggregation function attempted to calculate value using empty array"
INDEX_BOUNDS: Final = "Index {index} out of bounds for length {length}"
NOT_A_VALUE: Final = "Could not determine value type"
NOT_A_COLLECTION: Final = (
    "class java.util.LinkedHashMap cannot be cast to class java.util.Collection"
)
INDEX_TOO_LARGE: Final = "Target index:{index} larger than object count:{length}"
PATH_TOO_DEEP: Final = "The value is nested too deeply"  # ours
PATH_TOO_MUCH: Final = "Too many nodes of the value would be visited"  # ours
CHOICE_VARIABLE: Final = (
    "Invalid path '{path}': The choice state's condition path references an invalid value."
)
RESULT_TOO_LARGE: Final = "The state/task '{name}' returned a result with a size exceeding the maximum number of bytes service limit."
MUST_POINT_TO_ARRAY: Final = 'Reference path "{path}" must point to array.'
# Amazon States Language, by its documentation
RESULT_PATH_MISMATCH: Final = "Unable to apply ReferencePath {path} to input {input}"

SECONDS_PATH_MISSING: Final = "The SecondsPath parameter does not reference an input value: {path}"
SECONDS_PATH_NEGATIVE: Final = (
    "The SecondsPath parameter references a negative value: {path} == {value}"
)
SECONDS_PATH_TYPE: Final = (
    "The SecondsPath parameter cannot be parsed as a long value: {path} == {value}"
)
TIMESTAMP_PATH_TYPE: Final = "The TimestampPath parameter does not reference a valid ISO-8601 extended offset date-time format string: {path} == {value}"
TIMESTAMP_TYPE: Final = "The Timestamp field cannot be parsed as an ISO-8601 extended offset date-time format string: {value}"
CONCURRENCY_NEGATIVE: Final = "MaxConcurrency cannot be negative."  # ours
WAIT_TOO_LONG: Final = "Wait state delay is too long."  # unconfirmed
NUMBER_RANGE: Final = "The {field} field must be between {least} and {most}."  # ours
PATH_NOT_INTEGER: Final = (
    'The {field} field refers to value "{value}" which is not a valid integer: {path}'
)
PATH_NOT_FLOAT: Final = (
    'The {field} field refers to value "{value}" which is not a valid float: {path}'
)
TOLERATED_COUNT_NEGATIVE: Final = "ToleratedFailureCount cannot be negative."
TOLERATED_PERCENTAGE_RANGE: Final = "ToleratedFailurePercentage must be between 0 and 100."

JSONATA: Final = "The JSONata expression '{expression}' specified for the field '{field}' {what}"
JSONATA_UNDEFINED: Final = "returned nothing (undefined)."
JSONATA_UNSUPPORTED: Final = "returned an unsupported result type."
JSONATA_TYPE: Final = "returned an unexpected result type. Expected '{expected}', but was '{actual}' for value: {value}"
JSONATA_THREW: Final = "threw an error during evaluation. {code}: {message}"
# JSONata's, its code is T0410
JSONATA_ARGUMENT: Final = 'Argument {index} of function "{name}" does not match function signature'
JSONATA_PARSE: Final = "The argument of the parse function is not valid JSON: {reason}"  # ours
JSONATA_BUDGET: Final = "The evaluation exceeded its budget"  # ours
JSONATA_SYNTAX: Final = (
    "The JSONata expression '{expression}' could not be parsed. {code}: {message}"  # ours
)
# the first sentence is that of JSONata 2.0.6
JSONATA_NEWER: Final = (
    'The symbol "{symbol}" cannot be used as a unary operator. Step Functions has JSONata '
    "2.0.6, which lacks `{operator}`: write `{instead}`"
)
JSONATA_OPEN: Final = (
    "The JSONata expression '{text}' is not closed: it must end with '%}}'"  # ours
)
MAP_INPUT_TYPE: Final = "Map state input must be an array but was: {value}"

# --- definitions ----------------------------------------------------------------------------------
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
# The reasons of the two above, and mistakes in calls; ours:
UNEXPECTED_END: Final = "Unexpected end"
UNEXPECTED_CHARACTER: Final = "Unexpected character '{character}' at position {position}"
PATH_TOO_LONG: Final = "The path is too long or too deep"
PATH_ROOT: Final = "'{path}' must start with $, $$ or a variable"
PATH_MANY_NODES: Final = "'{path}' does not point to a single node"
PATH_NOT_IN_INPUT: Final = "'{path}' does not start from the state input"
BAD_REGEX: Final = "The regular expression /{pattern}/ is not supported"
NO_PATH_FUNCTION: Final = "Function with name: {name} does not exist."  # Jayway's
NO_INTRINSIC: Final = "There is no function {name}"
INTRINSIC_ARITY: Final = "{name} does not take {count} arguments"
CALL_TOO_LONG: Final = "The call is too long, or calls are nested too deeply"
BAD_PATH_OR_INTRINSIC: Final = (
    "The value for the field '{field}' must be a valid JSONPath or a valid intrinsic function call"
)
DUPLICATE_FIELD: Final = "The field '{field}' is defined more than once"  # unconfirmed
LANGUAGE_DOWNGRADE: Final = (
    "'QueryLanguage' can not be 'JSONPath' if set to 'JSONata' for whole state machine"
)
EXPRESS_SYNC: Final = "Express state machine does not support '.sync' service integration"
# AWS's own blank
EXPRESS_CALLBACK: Final = (
    "Express state machine does not support '.waitForTaskToken' service integration "
)
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
# The texts from here to the end of the section are ours, or unconfirmed.
FIELD_NOT_SUPPORTED: Final = "Field is not supported"
FIELD_OF_OTHER_LANGUAGE: Final = (
    "Field is not supported in a state whose 'QueryLanguage' is '{language}'"
)
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
DUPLICATE_KEY: Final = "Duplicate key '{key}' at line {first[0]}, column {first[1]} and at line {second[0]}, column {second[1]}"
DEFINITION_SIZE: Final = "Definition must have at most {limit} bytes"
DEFINITION_DEPTH: Final = "Definition is nested deeper than {limit} levels"
EXPRESS_DISTRIBUTED: Final = "Express state machine does not support Distributed Map states"
DISTRIBUTED_ONLY: Final = (
    "Field is supported only in a Map state whose ProcessorConfig has the Mode DISTRIBUTED"
)
BAD_VARIABLE_NAME: Final = "'{name}' is not a valid variable name"
RESERVED_VARIABLE: Final = "The variable name '{name}' is reserved"
OUTER_VARIABLE: Final = "The variable '{name}' is assigned in an outer scope"
ALL_ALONE: Final = "'States.ALL' must be the only entry of the last {field}"
MAX_DELAY: Final = "MaxDelaySeconds must be greater than IntervalSeconds"
HEARTBEAT_RANGE: Final = "HeartbeatSeconds must be smaller than TimeoutSeconds"
NOT_EXPRESSION: Final = "A string must be a JSONata expression in {% %}"
EXPRESSION_IS_TEXT: Final = (
    "A JSONata expression is plain text in a state whose 'QueryLanguage' is 'JSONPath'"
)
STATES_MEMBER: Final = "'$states.{member}' is not available in this field"
ONE_OPERATOR: Final = "A choice rule must have exactly one comparison operator, And, Or or Not"
PATH_IS_TEXT: Final = "The value of '{key}' looks like a path but is plain text: the name of the key does not end in '.$'"
STATIC_RESULT: Final = "The key '{key}' is not evaluated: the Result of a Pass state is plain JSON"
BAD_CSV: Final = "{field} is required if CSVHeaderLocation is GIVEN, and allowed only then"
AT_LEAST_ONE: Final = "At least one of these fields is required: [{fields}]"
UNRECOGNIZED_TOKEN: Final = "Unrecognized token '{token}': was expecting (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"

# --- JSON text: the messages of Jackson (Apache License 2.0), which AWS shows ---------------------
JSON_SOURCE: Final = '[Source: (String)"{snippet}; line: {line}, column: {column}]'
JSON_AT: Final = "{message}\n at {source}"
JSON_CHARACTER: Final = "Unexpected character ({char}): {expected}"
JSON_NUMBER: Final = "Unexpected character ({char}) in numeric value: {expected}"
JSON_VALUE: Final = (
    "expected a valid value (JSON String, Number, Array, Object or token 'null', 'true' or 'false')"
)
JSON_ANY_VALUE: Final = "expected a value"
JSON_KEY: Final = "was expecting double-quote to start field name"
JSON_COLON: Final = "was expecting a colon to separate field name and value"
JSON_COMMA: Final = "was expecting comma to separate {kind} entries"
JSON_CONTROL: Final = "Illegal unquoted character ({char}): has to be escaped using backslash to be included in string value"
JSON_ESCAPE: Final = "Unrecognized character escape {char}"
JSON_END: Final = "Unexpected end-of-input{where}"
JSON_CLOSER: Final = (
    "Unexpected close marker '{found}': expected '{expected}' (for {kind} starting at {source})"
)
JSON_NOT_STANDARD: Final = (
    "Non-standard token '{token}': enable `JsonReadFeature.ALLOW_NON_NUMERIC_NUMBERS` to allow"
)
JSON_LEADING_ZERO: Final = "Invalid numeric value: Leading zeroes not allowed"
JSON_NUMBER_LENGTH: Final = "Number value length ({length}) exceeds the maximum allowed ({limit})"
JSON_DEPTH: Final = "Document nesting depth ({depth}) exceeds the maximum allowed ({limit})"
JSON_RANGE: Final = "Numeric value ({token}) out of range"  # ours
JSON_EMPTY: Final = "No content to map due to end-of-input"
JSON_TRAILING: Final = "was expecting the end of the text"  # ours: Jackson ignores trailing text
JSON_SURROGATE: Final = "Unpaired surrogate in a string"  # ours
JSON_ENCODING: Final = "Invalid UTF-8 byte 0x{byte:02x} at offset {offset}"
JSON_NOT_FINITE: Final = "{value} has no JSON form"  # ours


# --- the API --------------------------------------------------------------------------------------
INVALID_DEFINITION: Final = "Invalid State Machine Definition: '{text}'"


# --- datasets of an ItemReader --------------------------------------------------------------------
NOT_ITERABLE: Final = "Attempting to map over non-iterable node."
CSV_DUPLICATES: Final = "CSV headers cannot contain duplicates."
MAX_ITEMS_NEGATIVE: Final = "field MaxItems must be positive"
BAD_DATASET: Final = "The dataset is not valid {kind}: {reason}"  # ours
DATASET_IS_BINARY: Final = "A dataset of type {kind} cannot be read from a text"  # ours
POINTER_NOT_FOUND: Final = "The ItemsPointer '{pointer}' does not exist in the dataset"  # ours
