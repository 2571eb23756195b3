"""What is done to a block of states once it is made: loops, comments."""

from random import Random
from typing import Any

from stepwell.conformance.generate.values import chance
from stepwell.conformance.run.case import blocks_of

State = dict[str, Any]


def looped(
    block: State, names: list[str], variable: str, times: int, jsonata: bool, mixed: bool
) -> bool:
    """Make a block go round `times` times, counted in a variable; False if it ends in no state that
    can lead back. `names`: four new ones.

    `jsonata`: the language of the new states; `mixed`: it is not the machine's, so they say so.
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
    """Comments in places that may have one; they change nothing."""
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
