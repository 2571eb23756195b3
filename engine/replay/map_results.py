"""The result of a recorded Map Run, which its history leaves out. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from stepwell.asl import json_text
from stepwell.asl.evaluation import MISSING, Json
from stepwell.engine.replay.recording import RecordedVisit, Recording

SHAPING: Final = frozenset({"ResultSelector", "OutputPath", "Output"})
"""The fields of a Map after which its output does not show its result."""


def map_result(recording: Recording, visit: RecordedVisit, fields: Mapping[str, Json]) -> Json:
    """The result of a Map Run: as far as the output of the state shows it, else of its
    children; MISSING if neither is known.
    """
    if visit.left is None:
        return MISSING
    if SHAPING & fields.keys():
        outputs = recording.map_results.get(visit.visit.map_run or "")
        if outputs is None or "ResultWriter" in fields:
            return MISSING
        return [json_text.loads(each) for each in outputs]
    found = json_text.loads(visit.left.details.get("output", "null"))
    path = fields.get("ResultPath", "$")
    if path is None:
        return []  # it is discarded
    for name in str(path).split(".")[1:]:
        if not isinstance(found, dict) or name not in found:
            return MISSING
        found = found[name]
    return found
