"""What the commands do that read executions."""
