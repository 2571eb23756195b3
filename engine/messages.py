"""The texts and error names of what the engine says: its operations, executions and histories, as
AWS shows them, or ours.

Placeholders are filled with str.format. Source: recordings of the real service unless a line says
otherwise.
"""

from typing import Final

# --- running --------------------------------------------------------------------------------------
IN_STATE: Final = "An error occurred while executing the state '{state}' (entered at the event id #{event}). {text}"
NO_NEXT_STATE: Final = (
    "Failed to transition out of the state. The state does not point to a next state."
)
HISTORY_LIMIT: Final = "The execution reached the maximum number of history events ({limit})."
ACTIVITY_GONE: Final = "The activity {arn} does not exist."
TOLERATED_EXCEEDED: Final = "The specified tolerated failure threshold was exceeded"
VARIABLES_TOO_LARGE: Final = (
    "The size of the variables assigned exceeds the maximum number of bytes service limit."  # ours
)

# --- JSON text, as Jackson words it (Apache License 2.0; the reader that AWS's texts come from) ----
RECORD_KEY: Final = "Unpaired surrogate in the key of a record: {key!r}"  # ours

# --- tasks: functions and services ----------------------------------------------------------------
NOT_JSON: Final = "The result of the task is not JSON: it holds a value of type {kind}"  # ours
KEY_NOT_TEXT: Final = (
    "The result of the task is not JSON: the key {key!r} is of type {kind}"  # ours
)

# --- test cases ----------------------------------------------------------------------------------
NO_MOCKED_RESULT: Final = "State {state!r} has no mocked result for attempt {number}"  # ours
NO_MOCKS: Final = "The execution has the test case {case!r}, but no mock file is loaded"  # ours
CASE_WITHOUT_MOCKS: Final = (
    "Invalid Arn: 'No mock file is loaded, so there is no test case: {arn}'"  # ours
)

# --- the API --------------------------------------------------------------------------------------
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
INPUT_TOO_LONG: Final = "1 validation error detected: Value at 'input' failed to satisfy constraint: Member must have length less than or equal to {limit}"
NOTHING_TO_UPDATE: Final = "Either the definition, the role ARN, the LoggingConfiguration, or the TracingConfiguration must be specified"
# ours: of the operations that AWS does not have
FIRE_CLOSED: Final = "Execution is {status}: it waits for no time"
FIRE_PARKED: Final = "Execution is parked: {reason}"
FIRE_NOTHING: Final = "No state of the execution waits for a time"
FIRE_STATE: Final = "The state '{state}' does not wait for a time; these do: {states}"
FIRE_WHICH: Final = "Several states wait for a time, so stateName is needed: {states}"
TIME_REAL: Final = (
    "Time cannot be advanced: the database is not open with --skip-time or a VirtualClock"
)
TIME_ONE: Final = "Either seconds or until is needed"
TIME_SECONDS: Final = "seconds must be between 0 and {most}"
TIME_FORMAT: Final = "until must be a timestamp such as 2030-01-31T12:00:00Z"
TIME_PAST: Final = "Time does not go back: it is {now}"
NOT_REDRIVABLE: Final = "Execution is {status} and cannot be redriven"
REDRIVE_HISTORY_FULL: Final = (
    "Execution history event limit exceeded"  # these four: from the documentation
)
REDRIVE_OPEN_TOO_LONG: Final = "Execution has exceeded the max execution time"
REDRIVE_TOO_LATE: Final = "Execution redrivable period exceeded"
REDRIVE_DELETING: Final = "State machine is in DELETING status"
REDRIVE_BY_MAP_RUN: Final = (
    "Execution is a child of a Map Run and can only be redriven by redriving its parent"  # ours
)
REDRIVE_LIMIT: Final = "Execution was redriven {limit} times, which is the maximum"  # ours
MAP_RUN_COMPLETED: Final = "Map Run is completed and cannot be updated: '{arn}'"  # ours
TYPE_NOT_SUPPORTED: Final = "This operation is not supported by this type of state machine"
POLLER_LIMIT: Final = (
    "The maximum number of workers concurrently polling for activity tasks has been reached."
)
ACTIVITY_UNKNOWN: Final = "Activity Does Not Exist: '{arn}'"
ACTIVITY_EXISTS: Final = "Activity Already Exists: '{arn}'"  # unconfirmed
MEMBER_TOO_LONG: Final = "1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must have length less than or equal to {limit}"
OUTPUT_TOO_LONG: Final = "Output has more than {limit} bytes"  # ours
TASK_UNKNOWN: Final = "Task Does Not Exist: 'Provided task does not exist'"  # unconfirmed
MACHINE_DELETING: Final = "State Machine Deleting: '{arn}'"  # unconfirmed
RESOURCE_UNKNOWN: Final = "Resource not found: '{arn}'"
REFERENCE_UNKNOWN: Final = "Request references a resource that does not exist."
INVALID_ROLE: Final = "Invalid Role Arn: '{arn}'"  # as others report it
ONE_LOG_DESTINATION: Final = (
    "Invalid Logging Configuration: Must specify exactly one Log Destination."
)
NO_LOG_DESTINATION: Final = "Invalid Logging Configuration: Log Destination not found."
DESCRIPTION_WITHOUT_PUBLISH: Final = "Version description can only be set when publish is true"
STALE_REVISION: Final = "Failed to publish the State Machine version for revision {given}. The current State Machine revision is {current}."
VERSION_IN_USE: Final = "Version to be deleted must not be referenced by an alias. Current list of aliases referencing this version: [{names}]"
ROUTES_NOT_VERSIONS: Final = (
    "Routing configuration must contain state machine version ARNs. Received: [{arns}]"
)
ROUTES_NOT_DISTINCT: Final = (
    "Routing configuration must contain distinct state machine version ARNs. Received: [{arns}]"
)
ROUTES_SUM: Final = "Sum of routing configuration weights must equal 100. Received: [{weights}]"
ALIAS_ROUTED_OTHERWISE: Final = "Failed to create alias because an alias with the same name and a different routing configuration already exists."
# From here on the words are ours: no recording shows AWS's.
ALIAS_DESCRIBED_OTHERWISE: Final = "Failed to create alias because an alias with the same name and a different description already exists."
ROUTES_OF_SEVERAL: Final = (
    "Routing configuration must contain versions of one state machine. Received: [{arns}]"
)
NOTHING_TO_UPDATE_ALIAS: Final = (
    "Either the description or the routingConfiguration must be specified"
)
VERSION_LIMIT: Final = "The state machine has {limit} versions, which is the maximum: '{arn}'"
ALIAS_LIMIT: Final = "The state machine has {limit} aliases, which is the maximum: '{arn}'"
ACTIVITY_LIMIT: Final = "There are {limit} activities, which is the maximum"
MACHINE_LIMIT: Final = "There are {limit} state machines, which is the maximum"
EXECUTION_LIMIT: Final = "{limit} executions are open, which is the maximum"
LABELLED_ARN: Final = "This operation does not take the ARN of a Distributed Map state: '{arn}'"
QUALIFIED_DELETE: Final = (
    "DeleteStateMachineVersion and DeleteStateMachineAlias delete versions and aliases: '{arn}'"
)
MANY_ATTRIBUTES: Final = "More than {limit} attributes in one answer"
QUALIFIED_INDEX: Final = (
    "All executions of a state machine are indexed, whichever version they run: '{arn}'"
)
ONE_OF_MACHINE_AND_MAP_RUN: Final = "Exactly one of stateMachineArn and mapRunArn must be specified"
FILTER_OF_MAP_RUN: Final = "{filter} can only be used with mapRunArn"
TOO_MANY_TAGS: Final = "The resource would have more than {limit} tags: '{arn}'"
BAD_TAG: Final = (
    "Tags may have letters, digits, white space and any of _ . : / = + - @ only: '{text}'"
)
KEY_MISSING: Final = "Invalid Encryption Configuration: a customer managed key needs a kmsKeyId."
KEY_NOT_ALLOWED: Final = "Invalid Encryption Configuration: AWS_OWNED_KEY has neither kmsKeyId nor kmsDataKeyReusePeriodSeconds."

# --- the server -----------------------------------------------------------------------------------
THROTTLED: Final = "Rate exceeded"

# --- the wire: what AWS's front end says before an operation sees its request ---------------------
VALIDATION: Final = "1 validation error detected: {errors}"
MEMBER_NULL: Final = "Value null at '{at}' failed to satisfy constraint: Member must not be null"

# --- TestState ------------------------------------------------------------------------------------
STATE_NOT_FOUND: Final = "State not found in definition"
MOCK_NEEDED: Final = "TestState API does not support Map or Parallel states. Supported state types include: [Task, Wait, Pass, Succeed, Fail, Choice]"
MOCK_NEEDED_BY_TASK: Final = (  # ours
    "TestState API does not support activities and the '.sync' and '.waitForTaskToken' service integration patterns "
    "when a mock is not specified."
)
ROLE_NEEDED: Final = "RoleArn must be specified when testing a Task state"
MOCK_ONE_FIELD: Final = (
    "A test mock should have only one of the following fields: [result, errorOutput]."
)
MOCK_NO_SECRETS: Final = "TestState does not support RevealSecrets when a mock is specified."
MOCK_NOT_FOR_TYPE: Final = "State type '{type}' is not supported when a mock is specified"
# unconfirmed but for MapIterationFailureCount
NEEDS_MOCK: Final = "TestState does not support {field} when a mock is not specified."
MOCK_NOT_JSON: Final = "Mocked result must be valid JSON"
MOCK_NOT_ARRAY: Final = "Mocked result must be an array."
MOCK_NOT_OBJECT: Final = "Mocked result must be a JSON object."
MOCK_BRANCHES: Final = (
    "Mocked result must contain the same number of items as number of Parallel branches."
)
ITERATION_FAILURES: Final = (
    "Map iteration failure count must be less than or equal to the number of Map iterations"
)
# ours
ERROR_STATE_UNKNOWN: Final = (
    "errorCausedByState must be the name of a state inside the Map or Parallel state under test"
)
CONTEXT: Final = "Invalid Context object provided: {text}"
CONTEXT_FIELD: Final = "Field '{field}' is not allowed"
CONTEXT_TYPE: Final = "{field} must be {type}"
CONTEXT_MAP: Final = "'Map' field is not supported when mocking a Context object"
CONTEXT_TASK: Final = "Context object contains 'Task' when state is not a Task state with a '.sync' or '.waitForTaskToken' service integration pattern"
CONTEXT_NOT_OBJECT: Final = "it must be a JSON object"  # ours
VARIABLES_NOT_OBJECT: Final = "Invalid variables provided: they must be a JSON object"  # ours

# --- services of others ---------------------------------------------------------------------------
NO_SERVICE: Final = "No service here handles the resource {resource}."  # ours
