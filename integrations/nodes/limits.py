"""The limits of a cluster's nodes. integrations/limits.py has all in one table."""

from dataclasses import dataclass


@dataclass(frozen=True)
class NodeLimits:
    """Upper bounds, all inclusive."""

    # --- the nodes of a cluster
    look_seconds: float = 0.25  # between two looks at which shards are free
    node_silence_seconds: float = 5.0  # a node that does not answer for so long is taken for dead
    node_frame_bytes: int = 128 * 1024 * 1024  # of one message between nodes
    node_calls: int = 10_000  # calls that one node answers for another at a time
    move_seconds: float = 15.0  # for which a call waits for a shard that has no owner
    # for which a free shard is left to the node whose share it is, and for which one that was taken
    # in its place is kept
    untaken_seconds: float = 5.0
    turn_seconds: float = 1.0  # for which executions without a name are born on the same shard
    # for which a node that stops still passes requests on, until load balancers have noticed
    linger_seconds: float = 2.0
