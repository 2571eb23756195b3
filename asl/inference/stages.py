"""The stages of the data flow that states share, on Shapes: as engine/core/dataflow.py has them on
values.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import TypeAlias

from stepwell.asl import messages
from stepwell.asl.evaluation import Json
from stepwell.asl.inference import shapes as s
from stepwell.asl.inference.field_shapes import (
    RESULT_PATH,
    FieldFailure,
    Scene,
    compiled,
    required,
    value_shape,
)
from stepwell.asl.inference.machine import State
from stepwell.asl.inference.shapes import ANY, Shape, has_hole
from stepwell.asl.json_text import member
from stepwell.asl.paths import ReferencePath

Variables: TypeAlias = Mapping[str, Shape]


def _path(state: State, name: str, scene: Scene) -> Shape:
    """InputPath, OutputPath: what it selects of the scene's root."""
    text = state.fields.get(name, "$")
    if text is None:
        return s.of({})
    return scene.root if text == "$" else required(text, scene, state.at(name))


def selected(state: State, scene: Scene) -> Scene:
    if state.jsonata or constant(state):
        return scene
    return scene.at(_path(state, "InputPath", scene))


def constant(state: State) -> bool:
    """Whether it is a Pass with a Result: such a state ignores its input."""
    return state.type == "Pass" and "Result" in state.fields


def effective(state: State, selected: Scene) -> Shape:
    name = "Arguments" if state.jsonata else "Parameters"
    ignored = (state.type == "Map" and not state.jsonata) or constant(state)
    if ignored or name not in state.fields:
        return selected.root
    return value_shape(state.jsonata, state.fields[name], selected, state.at(name))


def shaped(state: State, result: Shape, scene: Scene) -> tuple[Shape, Variables]:
    """(output, variables from the next state on), from the result of the state's work."""
    with_result = state.type in ("Task", "Parallel", "Map")
    scene = replace(scene, root=result, result=result if with_result else None)
    variables, output = assigned(state, state.fields, state.location, scene), result
    if state.jsonata:
        if "Output" in state.fields:
            output = value_shape(True, state.fields["Output"], scene, state.at("Output"))
        return output, variables
    if "ResultSelector" in state.fields:
        where = state.at("ResultSelector")
        output = value_shape(False, state.fields["ResultSelector"], scene, where)
    output = put(state.fields, state.location, scene.input, output)
    return _path(state, "OutputPath", scene.at(output)), variables


def taken(
    state: State,
    rule: Mapping[str, Json],
    location: str,
    scene: Scene,
) -> tuple[Shape, Variables]:
    """What leaves a Choice by a rule, or by Default (the fields of the state)."""
    variables = assigned(state, rule, location, scene)
    if "Output" in rule:
        where = member(location, "Output")
        output = value_shape(state.jsonata, rule["Output"], scene, where)
    else:
        output = scene.root if state.jsonata else _path(state, "OutputPath", scene)
    return output, variables


def assigned(state: State, holder: Mapping[str, Json], location: str, scene: Scene) -> Variables:
    assign = holder.get("Assign")
    if not isinstance(assign, dict):
        return scene.variables
    where = member(location, "Assign")
    return {**scene.variables, **value_shape(state.jsonata, assign, scene, where).members}


def put(holder: Mapping[str, Json], location: str, raw: Shape, result: Shape) -> Shape:
    """ResultPath: the result within the raw input."""
    text = holder.get("ResultPath", "$")
    if text is None:
        return raw
    path = compiled(text) if isinstance(text, str) and not has_hole(text) else None
    if not isinstance(path, ReferencePath):
        return ANY
    output = s.put(raw, path.keys, result)
    if output is None:
        raise FieldFailure(
            messages.RESULT_PATH_MATCH_FAILURE,
            member(location, "ResultPath"),
            RESULT_PATH,
            f"ResultPath {text} always fails: the state input is {s.described(raw)}, which has no "
            "such place. Let an object flow in, or replace the input with ResultPath $",
        )
    return output
