"""Outputs at the payload limit of 262,144 bytes."""

from random import Random

from stepwell.conformance.oracle.execution import PAYLOAD_BYTES
from stepwell.conformance.run.case import EXPRESS, STANDARD, Case


def limit_case(r: Random) -> Case:
    """An output of the limit or up to two bytes beside it, in one- or two-byte characters."""
    letter = r.choice(("x", "é"))
    room = PAYLOAD_BYTES - len('{"a":"","b":""}') + r.randrange(-2, 3)
    half = room // 2 // len(letter.encode())
    execution_input = {"s": letter * half, "rest": "y" * (room - 2 * half * len(letter.encode()))}
    doubled = {"a.$": "$.s", "b.$": "States.Format('{}{}', $.s, $.rest)"}
    state = {"Type": "Pass", "Parameters": doubled, "End": True}
    definition = {"StartAt": "Doubled", "States": {"Doubled": state}}
    return Case(definition, execution_input, r.choice((STANDARD, EXPRESS)), "limits")
