"""Amazon DynamoDB: getItem, putItem, updateItem, deleteItem. Recorded.

An attribute value may be a plain string, which the SDK for Java, version 1, makes one of type S of.
Other plain values are refused.
"""

from stepwell.integrations.tasks.optimised import Service

actions = Service(
    "dynamodb",
    "DynamoDB",
    "AmazonDynamoDBv2",
    "AmazonDynamoDBException",
    of_text={"AttributeValue": "S"},
).actions
