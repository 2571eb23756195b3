"""Amazon Bedrock AgentCore: invokeAgentRuntime."""

from stepwell.integrations.optimised import Service

actions = Service("bedrock-agentcore", "BedrockAgentCore", "AmazonBedrockAgentCore", "AmazonBedrockAgentCoreException").actions
