"""Commands that compare definitions, and versions of a state machine."""
