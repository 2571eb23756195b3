"""The operations on executions."""
