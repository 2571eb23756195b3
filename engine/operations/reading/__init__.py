"""The operations that read what is committed. They import neither the worker nor the language."""
