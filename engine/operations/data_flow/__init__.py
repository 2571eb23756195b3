"""The data flow of a visit of a state, stage by stage. Not of the API."""

from stepwell.engine.operations.data_flow.flow import data_flow
from stepwell.engine.operations.data_flow.shapes import DataFlow, Stage, as_json

__all__ = ["DataFlow", "Stage", "as_json", "data_flow"]
