"""The data flow of a visit of a state, stage by stage. Not of the API."""

from stepwell.engine.operations.data_flow.flow import data_flow
from stepwell.engine.operations.data_flow.shapes import DataFlow, Given, Stage, as_json
from stepwell.engine.operations.data_flow.trial import trial

__all__ = ["DataFlow", "Given", "Stage", "as_json", "data_flow", "trial"]
