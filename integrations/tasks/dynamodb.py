"""Amazon DynamoDB: getItem, putItem, updateItem, deleteItem. Recorded.

An attribute value may be a plain string, which AWS's SDK for Java, version 1, converts to type S.
Other plain values are refused.
"""

from stepwell.integrations.tasks.optimised import Service

actions = Service(
    "dynamodb",
    "DynamoDB",
    "AmazonDynamoDBv2",
    "AmazonDynamoDBException",
    text_member={"AttributeValue": "S"},
).actions
