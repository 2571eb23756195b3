"""TestState: one state, run without an execution."""
