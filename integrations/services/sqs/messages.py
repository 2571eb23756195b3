"""The texts and error names of SQS, as AWS shows them, or ours.

Placeholders are filled with str.format. Source: recordings of the real service unless a line says
otherwise.
"""

from typing import Final

# --- SQS: as others report it, unless marked ------------------------------------------------------
PARAMETER_VALUE: Final = "Value {value} for parameter {name} is invalid. Reason: {reason}"
QUEUE_UNKNOWN: Final = "The specified queue does not exist."
QUEUE_ADDRESS: Final = "The address {url} is not valid for this endpoint."
QUEUE_NAME: Final = (
    "Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"
)
QUEUE_NAME_FIFO: Final = (
    "The name of a FIFO queue can only include alphanumeric characters, hyphens, or underscores, must end with .fifo suffix and be 1 to 80 "
    "in length."
)
QUEUE_EXISTS: Final = (
    "A queue already exists with the same name and a different value for attribute {name}"
)
QUEUE_DELETED: Final = "You must wait {seconds} seconds after deleting a queue before you can create another with the same name."
QUEUE_QUOTA: Final = "There are {limit} queues, which is the maximum."  # ours
QUEUE_FULL: Final = "There are {limit} messages in all queues, which is the maximum."  # ours
QUEUE_PURGED: Final = "Only one PurgeQueue operation on {name} is allowed every {seconds} seconds."
QUEUE_IN_FLIGHT: Final = "Too many messages are in flight: {limit} is the maximum."  # ours
QUEUE_POLLERS: Final = (
    "{limit} calls wait for messages of this queue, which is the maximum."  # ours
)
QUEUE_ATTRIBUTE_UNKNOWN: Final = "Unknown Attribute {name}."
QUEUE_ATTRIBUTE_VALUE: Final = "Invalid value for the parameter {name}."
QUEUE_TAGS: Final = "Too many tags added for queue {name}."
QUEUE_PAGE: Final = "MaxResults must be an integer between 1 and {limit}."
QUEUE_TOKEN: Final = "Invalid or expired next token."
REDRIVE_NO_MAP: Final = "Redrive policy is not a valid JSON map."
REDRIVE_MANDATORY: Final = "Redrive policy does not contain mandatory attribute: {name}."
REDRIVE_COUNT: Final = (
    "Invalid value for maxReceiveCount: {value}, valid values are from 1 to 1000 both inclusive."
)
REDRIVE_NO_TARGET: Final = "Dead letter target does not exist."
REDRIVE_TYPES: Final = "Dead-letter queue must be same type of queue as the source."
REDRIVE_NOT_ALLOWED: Final = (
    "Queue {arn} does not allow this queue to use it as its dead-letter queue."  # ours
)
MESSAGE_LETTERS: Final = "Invalid characters found. Valid unicode characters are #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF"
MESSAGE_SIZE: Final = (
    "One or more parameters are invalid. Reason: Message must be shorter than {limit} bytes."
)
MESSAGE_GROUP: Final = (
    "{name} can only include alphanumeric and punctuation characters. 1 to 128 in length."
)
MESSAGE_DEDUPLICATION: Final = "The queue should either have ContentBasedDeduplication enabled or MessageDeduplicationId provided explicitly"
MESSAGE_NOT_FOR_TYPE: Final = "The request include parameter that is not valid for this queue type."
MESSAGE_DELAY: Final = "DelaySeconds must be >= 0 and <= 900."
MESSAGE_ATTRIBUTES: Final = (
    "Number of message attributes [{count}] exceeds the allowed maximum [{limit}]."
)
MESSAGE_ATTRIBUTE_NAME: Final = (
    "Message (user) attribute name '{name}' is invalid: it can contain A-Z, a-z, 0-9, underscore (_), hyphen (-) and period (.), must not "
    # ours
    "start or end with a period or have two of them in a row, must not begin with AWS. or Amazon., and be 1 to 256 in length."
)
MESSAGE_ATTRIBUTE_TYPE: Final = (
    "The type of message (user) attribute '{name}' is invalid. You must use only the following supported type prefixes: Binary, Number, "
    "String."
)
MESSAGE_ATTRIBUTE_NO_TYPE: Final = (
    "Message (user) attribute '{name}' must contain a non-empty attribute type."
)
MESSAGE_ATTRIBUTE_EMPTY: Final = (
    "Message (user) attribute '{name}' must contain a non-empty value of type '{type}'."
)
MESSAGE_ATTRIBUTE_NUMBER: Final = (
    "Can't cast the value of message (user) attribute '{name}' to a number."
)
MESSAGE_ATTRIBUTE_LIST: Final = (
    "Message attribute list values in SendMessage operation are not supported."
)
MESSAGE_SYSTEM_ATTRIBUTE: Final = "Message system attribute name '{name}' is invalid."
BATCH_EMPTY: Final = "There should be at least one {entry} in the request."
BATCH_SIZE: Final = "Maximum number of entries per request are {limit}. You have sent {count}."
BATCH_BYTES: Final = (
    "Batch requests cannot be longer than {limit} bytes. You have sent {count} bytes."
)
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
