"""The operations on state machines, their versions and aliases."""
