"""Searches for executions by their search attributes."""
