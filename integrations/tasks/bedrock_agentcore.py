"""Amazon Bedrock AgentCore: invokeAgentRuntime."""

from stepwell.integrations.tasks.optimised import Service

actions = Service(
    "bedrock-agentcore",
    "BedrockAgentCore",
    "AmazonBedrockAgentCore",
    "AmazonBedrockAgentCoreException",
).actions
