"""Amazon DynamoDB: getItem, putItem, updateItem, deleteItem. Recorded."""

from stepwell.integrations.optimised import Service

actions = Service("dynamodb", "DynamoDB", "AmazonDynamoDBv2", "AmazonDynamoDBException").actions
