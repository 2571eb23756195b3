"""Changes of a generated block of states: loops, comments."""

from random import Random
from typing import Any

from stepwell.conformance.generate.values import chance
from stepwell.conformance.run.case import blocks_of

State = dict[str, Any]


def looped(
    block: State, names: list[str], variable: str, times: int, jsonata: bool, mixed: bool
) -> bool:
    """Let a block run `times` times, counted in a variable; False if it has not exactly one state
    with End. `names`: those of the four new states.

    `jsonata`: the language of the new states; `mixed`: it differs from the machine's language.
    """
    last = [state for state in block["States"].values() if "End" in state]
    if len(last) != 1:
        return False
    first, again, choose, done = names
    count, test = ("{% $" + variable + " + 1 %}", f"{{% ${variable} < {times} %}}")
    language = {"QueryLanguage": "JSONata"} if mixed else {}
    assign: State = (
        {variable: count} if jsonata else {f"{variable}.$": f"States.MathAdd(${variable}, 1)"}
    )
    rule: State = (
        {"Condition": test} if jsonata else {"Variable": f"${variable}", "NumericLessThan": times}
    )
    del last[0]["End"]
    last[0]["Next"] = again
    block["States"] |= {
        first: {"Type": "Pass", **language, "Assign": {variable: 0}, "Next": block["StartAt"]},
        again: {"Type": "Pass", **language, "Assign": assign, "Next": choose},
        choose: {
            "Type": "Choice",
            **language,
            "Choices": [{**rule, "Next": block["StartAt"]}],
            "Default": done,
        },
        done: {"Type": "Succeed", **language},
    }
    block["StartAt"] = first
    return True


def comment(r: Random, block: State) -> None:
    """Add Comment fields, which change nothing, in all places that may have one."""
    for state in block["States"].values():
        inner = blocks_of(state)
        for each in (
            state,
            *inner,
            *(part for name in ("Retry", "Catch", "Choices") for part in state.get(name, ())),
        ):
            if chance(r, 0.5):
                each["Comment"] = "it's a {% comment %} $.é"
        for each in inner:
            comment(r, each)
