"""Explanations of JSONata expressions: the chains that they read, and why one failed."""
