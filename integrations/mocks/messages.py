"""The texts of mock files and test cases. All are ours: Step Functions Local documents none.

Placeholders are filled with str.format.
"""

from collections.abc import Iterable
from difflib import get_close_matches
from typing import Final


def meant(name: str, known: Iterable[str]) -> str:
    """The end of a text about an unknown name: the known one that it resembles."""
    plain = {each.casefold(): each for each in known}
    close = get_close_matches(name.casefold(), plain, 1)
    return f": did you mean {plain[close[0]]!r}?" if close else ""


# --- the file -------------------------------------------------------------------------------------
FILE_NOT_JSON: Final = "not JSON: {problem}"
DUPLICATE: Final = "{key!r} occurs twice, first at line {line}"
NOT_OBJECT: Final = "{what} must be an object"
MISSING_KEY: Final = "there is no {key!r}"
MISSPELT: Final = "{key!r} is not a key of a mock file: did you mean {known!r}?"
STATE_VALUE: Final = (
    "state {state!r} must have the name of a response, or an object with Items and Default"
)
NO_RESPONSE_NAMED: Final = "MockedResponses has no {name!r}{hint}"
ITEMS_KEY: Final = "{key!r} is not a key here: Items and Default are"
ITEMS_EMPTY: Final = 'Items must be an object of iterations, such as {{"0": "NAME", "1-3": "NAME"}}'
NAME_EXPECTED: Final = "{what} must be the name of a response"
RESPONSES_EMPTY: Final = 'response {name!r} needs at least one numbered entry, such as "0"'
NUMBER: Final = '{key!r} is not a number such as "0", or a range such as "1-2"'
OVERLAP: Final = "{key!r} overlaps {other!r}"
RETURN_OR_THROW: Final = "{key!r} must have either Return or Throw"
ITERATION: Final = '{key!r} is not an iteration such as "0", or a range such as "1-3"'
THROW_FIELD: Final = "{field} of Throw must be a string"

# --- recordings -----------------------------------------------------------------------------------
NO_OUTPUT: Final = "event {id} ({type}) has no output: get the history with its execution data, which must not be truncated"

# --- test cases -----------------------------------------------------------------------------------
UNKNOWN_CASE: Final = "Invalid Name: '{case}': the mock file has no such test case of the state machine '{machine}'; {known}"
KNOWN_CASES: Final = "it has {cases}"
NO_CASES: Final = "it has no test case of it"
NO_FILE: Final = "Invalid Name: '{case}': no mock file is loaded, so there is no test case. Name one with --mocks FILE or SFN_MOCK_CONFIG"
CASE_LOST: Final = (
    "The execution has the test case {case!r} of {machine!r}, which the mock file does not have"
)
NO_FILE_NOW: Final = "The execution has the test case {case!r}, and no mock file is loaded: name one with --mocks FILE or SFN_MOCK_CONFIG"
EXHAUSTED: Final = "State {state!r} has no mocked response for {attempt}: {responses} of test case {case!r} has {numbers}{place}"
UNDEFINED: Final = "State {state!r} of test case {case!r} has the response {name!r}, which MockedResponses does not have{place}"
NO_ITERATION: Final = (
    "State {state!r} of test case {case!r} has no mocked response for iteration {iteration}"
)
NO_STATE: Final = (
    "warning: the definition has no state {state!r}, which test case {case!r} mocks{hint}"
)
NO_PART: Final = "warning: state {state!r} has no {part}, which test case {case!r} mocks"
NO_TASK: Final = (
    "warning: state {state!r} is a {type}, which calls nothing: its response is not used"
)
INVALID_RESPONSE: Final = "{place}{severity}{responses} of state {state!r}: {problem}"
NO_ITEMS: Final = "The mock of an ItemReader must be an array or an object: the items"
UNUSED_STATE: Final = "{place}state {state!r} of test case {case!r} was not run"
UNUSED_RESPONSE: Final = (
    "{place}response {numbers} of state {state!r} in test case {case!r} was not used"
)
UNUSED_MOCKS: Final = "{place}mocks not used: {mocks}"
