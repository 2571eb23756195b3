"""Versions of a state machine: numbers of their executions, and what they prove."""
