"""What differs between two definitions, as texts and as pictures."""
