"""The data flow of a visit of a state, stage by stage: what the API does not show."""

from stepwell.engine.operations.data_flow.flow import data_flow
from stepwell.engine.operations.data_flow.shapes import DataFlow, Stage, as_json

__all__ = ["DataFlow", "Stage", "as_json", "data_flow"]
