"""SQS: queues that are as durable as the executions that send to them.

message.py     what is sent: checked, counted, summed (pure)        sending.py    into queues: prepare(), for all who send
attributes.py  the attributes of queues (pure)                      receiving.py  out of them; receipts; dead letters
index.py       which messages are visible (pure)                    redrive.py    dead letters that are moved back
base.py        what is stored and loaded, and who waits             queues.py     the operations on queues themselves
"""

from stepwell.integrations.services.sqs.redrive import Moves

__all__ = ["Sqs"]


class Sqs(Moves):
    """The operations of botocore's "sqs"."""
