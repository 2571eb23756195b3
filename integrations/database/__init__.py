"""How a command opens a database: as its owner, as a reader beside the owner, or by a request to
the owner.

One process at a time owns a database. It carries out a few operations for other processes
(operation_socket.py), so that another terminal can stop an execution or complete a task while `run`
waits. Without an owner, the requesting command opens the database for that one operation.
"""
