"""What one commit changes in the database, the same for every store: rows by kind of change.

A store has one statement for each `Change`, named like it, that takes any number of rows.
"""

from __future__ import annotations

from typing import Any, Final

from stepwell.engine.errors import StoreError


class Change:
    """A kind of change, and the columns of its rows. Compared by identity: it is a key in the hot
    path.
    """

    __slots__ = ("name", "names", "columns")

    def __init__(self, name: str, columns: str) -> None:
        self.name, self.names = name, columns.split()
        self.columns = len(self.names)


INSERT_SERIES: Final = Change("insert_series", "id prefix machine machine_name express")
INSERT_PIN: Final = Change("insert_pin", "id definition block role")
INSERT_QUALIFIER: Final = Change("insert_qualifier", "id arn")
INSERT_EXECUTION: Final = Change(
    "insert_execution",
    "id series tail uuid pin started parent parent_frame parent_seq parent_index "
    "version alias status stopped events error cause extras",
)
UPDATE_EXECUTION: Final = Change("update_execution", "id status stopped events error cause extras")
DELETE_EXECUTIONS: Final = Change("delete_executions", "id")
INSERT_HISTORY: Final = Change("insert_history", "key blob")
INSERT_LONG_HISTORY: Final = Change("insert_long_history", "execution event blob")
DELETE_FIRST_HISTORY: Final = Change("delete_first_history", "key")
INSERT_PAYLOAD: Final = Change("insert_payload", "key blob")
PUT_CONTINUATION: Final = Change("put_continuation", "id wake events blob")
DELETE_CONTINUATION: Final = Change("delete_continuation", "id")
PUT_FRAME: Final = Change("put_frame", "key blob")
DELETE_FRAME: Final = Change("delete_frame", "key")
INSERT_ITEMS: Final = Change("insert_items", "execution frame n blob")
INSERT_RESULTS: Final = Change("insert_results", "execution frame n blob")
INSERT_CHILD_INPUTS: Final = Change("insert_child_inputs", "execution frame seq n blob")
INSERT_CHILD_OUTPUTS: Final = Change("insert_child_outputs", "execution frame seq n slots blob")
PUT_MAP_RUN: Final = Change("put_map_run", "execution event frame seq uuid blob")
INSERT_ATTRIBUTE: Final = Change("insert_attribute", "name value execution closing")
PUT_RECORD: Final = Change("put_record", "key blob")
DELETE_RECORD: Final = Change("delete_record", "key")

ORDER: Final = (
    DELETE_FRAME,
    INSERT_SERIES,
    INSERT_PIN,
    INSERT_QUALIFIER,
    PUT_MAP_RUN,
    INSERT_EXECUTION,
    UPDATE_EXECUTION,
    INSERT_ATTRIBUTE,
    INSERT_PAYLOAD,
    INSERT_HISTORY,
    INSERT_LONG_HISTORY,
    PUT_CONTINUATION,
    DELETE_CONTINUATION,
    PUT_FRAME,
    INSERT_ITEMS,
    INSERT_RESULTS,
    INSERT_CHILD_INPUTS,
    INSERT_CHILD_OUTPUTS,
    DELETE_FIRST_HISTORY,
    DELETE_EXECUTIONS,
)
"""The order in which the changes of a commit are made; those of records come last."""

# Deletions of many rows at once: names of statements.
DELETE_CLOSING_ATTRIBUTES: Final = "delete_closing_attributes"  # execution
DELETE_FRAMES: Final = "delete_frames"  # first key, last key
DELETE_PAYLOADS: Final = "delete_payloads"  # first key, last key
DELETE_USED_INPUTS: Final = "delete_used_inputs"  # execution, frame, seq, all again, end
OF_CHILDREN: Final = 2  # where those of child rows begin in the next two
DELETE_VISIT: Final = (  # execution, frame
    "delete_items_of_frame",
    "delete_results_of_frame",
    "delete_child_inputs_of_frame",
    "delete_child_outputs_of_frame",
)
DELETE_VISITS: Final = (  # execution
    "delete_items",
    "delete_results",
    "delete_child_inputs",
    "delete_child_outputs",
)


class Batch:
    """The changes of one commit.

    deletes         made first: (statement, its parameters)
    rows            made next, in this order: the values of all rows of a change in one flat list
    merges          made last: the history rows to merge into one, if there are more than a few:
                    their first and last key, or (execution, first event, last event) of long ones
    clock, next_id  what meta advances to
    refused         executions that cannot be encoded; the batch has nothing of them
    """

    def __init__(self) -> None:
        self.deletes: list[tuple[str, tuple[int, ...]]] = []
        self.rows: dict[Change, list[Any]] = {change: [] for change in ORDER}
        self.merges: list[tuple[int, ...]] = []
        self.clock = self.next_id = 0
        self.refused: dict[int, StoreError] = {}
