"""What tests cover of state machines, as texts and as pictures."""
