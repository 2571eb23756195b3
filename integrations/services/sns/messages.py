"""The texts and error names of SNS, as AWS shows them, or ours.

Placeholders are filled with str.format. Source: recordings of the real service unless a line says
otherwise.
"""

from typing import Final

# --- SNS: as others report it; those marked are ours ----------------------------------------------
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
SNS_SCOPE: Final = (
    "FilterPolicyScope: Invalid value [{value}]. Please use either MessageBody or MessageAttributes"
)
SNS_NOT_JSON: Final = "{name}: failed to parse JSON."
SNS_FILTER: Final = "FilterPolicy: {text}"
SNS_FILTER_KEYS: Final = "Filter policy can not have more than {limit} keys"
SNS_FILTER_COMPLEX: Final = "Filter policy is too complex"
SNS_FILTER_NESTED: Final = (
    "Filter policy scope MessageAttributes does not support nested filter policy"
)
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
SNS_NO_DEDUPLICATION: Final = "MessageDeduplicationId Reason: The request includes MessageDeduplicationId parameter that is not valid for this topic type"
# ours
SNS_FIFO_ID: Final = "{name} Reason: {name} can only include alphanumeric and punctuation characters. 1 to 128 in length"
SNS_ATTRIBUTE_LETTER: Final = (
    "Invalid non-alphanumeric character '#x{code:X}' was found in the message attribute name. "
    "Can only include alphanumeric characters, hyphens, underscores, or dots."
)
# ours
SNS_ATTRIBUTE_DOTS: Final = "Invalid message attribute name. Name can't start or end with a dot, have dots in a row, or be longer than 256 letters."
SNS_ATTRIBUTE_NO_TYPE: Final = (
    "The message attribute '{name}' must contain non-empty message attribute type."
)
SNS_ATTRIBUTE_TYPE: Final = (
    "The message attribute '{name}' has an invalid message attribute type, "
    "the set of supported type prefixes is Binary, Number, and String."
)
SNS_ATTRIBUTE_FIELD: Final = (
    "The message attribute '{name}' with type '{type}' must use field '{field}'."
)
SNS_ATTRIBUTE_EMPTY: Final = "The message attribute '{name}' must contain non-empty message attribute value for message attribute type '{type}'."
SNS_ATTRIBUTE_NUMBER: Final = "Could not cast message attribute '{name}' value to number."
SNS_ATTRIBUTE_ARRAY: Final = "Invalid JSON array in message attribute '{name}'."  # ours
SNS_BATCH_EMPTY: Final = "The batch request doesn't contain any entries."
SNS_BATCH_MANY: Final = "The batch request contains more entries than permissible."
SNS_BATCH_IDS: Final = "Two or more batch entries in the request have the same Id."
SNS_BATCH_ID: Final = (
    "The Id of a batch entry in a batch request doesn't abide by the specification."
)
SNS_BATCH_LONG: Final = "The length of all the messages put together is more than the limit."
SNS_THROTTLED: Final = "Rate exceeded"
SNS_RAW_ATTRIBUTES: Final = (
    "A queue takes no more than {limit} message attributes with a raw message"  # ours
)
SNS_HTTP_STATUS: Final = "The endpoint answered {status}"  # ours
SNS_MAIL_REFUSED: Final = "The mail server refused the message: {text}"  # ours
SNS_MAIL_UNREACHABLE: Final = "The mail server cannot be reached: {text}"  # ours
SNS_CONFIRM: Final = "You have chosen to subscribe to the topic {topic}.\nTo confirm the subscription, visit the SubscribeURL included in this message."
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
SNS_ENDPOINT_EXISTS: Final = (
    "Token Reason: Endpoint {arn} already exists with the same Token, but different attributes."
)
SNS_PLATFORM: Final = "Platform Reason: {platform} is not supported"
SNS_PLATFORM_EXISTS: Final = (
    "Attributes Reason: Application already exists with different attributes"  # ours
)
SNS_PLATFORM_LIMIT: Final = "{name} limit of {limit} reached"  # ours
SNS_KEY: Final = "The key {path} cannot be used: {text}"  # ours
SNS_KEY_WRONG: Final = "The key {path} does not decrypt the pending messages"  # ours
