"""The JSON Schema of definitions, for editors: made from the models of definition.py, the table of
expression_fields.py, and the tables of checks.py.

There are two kinds of states, by the query language of the machine or state. Rules between states
and within expressions have no place in a schema: validate() checks them.
"""

import copy
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, JsonSchemaWarningKind

from stepwell.asl import field_docs
from stepwell.asl.checks import AT_MOST_ONE, EXACTLY_ONE
from stepwell.asl.choice import OPERATORS
from stepwell.asl.definition import JSONATA, JSONPATH, StateMachine
from stepwell.asl.expression_fields import foreign

Schema = dict[str, Any]

DIALECT: Final = "http://json-schema.org/draft-07/schema#"  # the one that all editors know
_MIXED: Final = "JSONataInJSONPath"
_LANGUAGES: Final = (JSONPATH, JSONATA)
_PLACEHOLDER: Final = {
    "type": "string",
    "pattern": r"^\$\{.+\}$",
    "description": "A placeholder, which a deployment replaces.",
}
_EXPRESSION: Final = {"type": "string", "pattern": r"^\{%[\s\S]*%\}$"}
_OPERANDS: Final = (
    ("Path", "string"),
    ("Is", "boolean"),
    ("Boolean", "boolean"),
    ("Numeric", "number"),
    ("", "string"),
)  # (start of the operator's name, or its end; type of the operand): the first that matches


class _Generator(GenerateJsonSchema):
    def emit_warning(self, kind: JsonSchemaWarningKind, detail: str) -> None:
        """Nothing: the union that it has no discriminator for is replaced by State below."""


def json_schema() -> Schema:
    """The schema as a JSON value."""
    models = StateMachine.model_json_schema(by_alias=True, schema_generator=_Generator)
    definitions: Schema = models.pop("$defs")
    machine = {**models, "$defs": {}}
    states = [name.removesuffix("State") for name in definitions if name.endswith("State")]
    defs: Schema = {"Placeholder": _PLACEHOLDER}
    for language in _LANGUAGES:
        for name, schema in definitions.items():
            defs[name + language] = _of_language(name, copy.deepcopy(schema), language)
        defs["State" + language] = _state(states, language)
    for name in ("ParallelState", "MapState"):
        defs[name + _MIXED] = _of_language(name, copy.deepcopy(definitions[name]), JSONATA, _MIXED)
    defs["Test"] = _test(())
    del machine["$defs"]
    blocks = {name: _of_language("", copy.deepcopy(machine), name) for name in _LANGUAGES}
    blocks[JSONATA]["required"] = ["QueryLanguage", *blocks[JSONATA]["required"]]
    root: Schema = {
        "$schema": DIALECT,
        "title": "Amazon States Language",
        "description": "A state machine of AWS Step Functions.",
        "type": "object",
        "if": {"properties": {"QueryLanguage": {"const": JSONATA}}, "required": ["QueryLanguage"]},
        "then": {"$ref": "#/definitions/MachineJSONata"},
        "else": {"$ref": "#/definitions/MachineJSONPath"},
        "definitions": {**defs, **{"Machine" + name: block for name, block in blocks.items()}},
    }
    return root


def _of_language(name: str, schema: Schema, language: str, refers: str = "") -> Schema:
    """The schema of a model in one query language. refers: see _referring."""
    schema.pop("title", None)
    schema.pop("description", None)  # of Python's class
    type_ = name.removesuffix("State")
    properties = schema.get("properties", {})
    for field in foreign(language).get("" if name.endswith("State") else name, ()):
        properties.pop(field, None)
    for field, each in properties.items():
        properties[field] = _property(field, each, language, refers or language)
    conditions: list[Schema] = [
        {"oneOf": [_given(each) for each in fields]}
        for kind, fields in EXACTLY_ONE
        if kind == type_
    ]
    conditions += [
        {"not": {"allOf": [_given(each) for each in fields]}}
        for steps, fields in AT_MOST_ONE
        if (steps[-1] if steps else None) == (name if steps else None)
        or (not steps and set(fields) <= properties.keys())
    ]
    if name == "ChoiceRule":
        return _rule(schema, language)
    if conditions:
        schema["allOf"] = conditions
    return schema


def _property(field: str, schema: Schema, language: str, refers: str) -> Schema:
    """The schema of a field: its references in the language, and placeholders for plain values."""
    schema = _referring(schema, refers)
    schema.pop("title", None)
    schema.pop("default", None)
    if "numberOrExpression" in schema:
        number = schema["numberOrExpression"]
        schema = {"anyOf": [number, _EXPRESSION]} if language == JSONATA else number
    if field != "Type" and (_plain(schema) or any(map(_plain, schema.get("anyOf", ())))):
        schema = {"anyOf": [schema, {"$ref": "#/definitions/Placeholder"}]}
    description = field_docs.FIELDS.get(field)
    return {"description": description, **schema} if description else schema


def _plain(schema: Schema) -> bool:
    """Whether a schema is that of a number, boolean or word: not of any string."""
    return "enum" in schema or schema.get("type") in ("integer", "number", "boolean")


def _referring(value: Any, language: str) -> Any:
    """With references to the definitions of a language, and to State for the union of states.
    In a JSONata state of a JSONPath machine (_MIXED), only the blocks inside are JSONPath's.
    """
    if isinstance(value, list):
        return [_referring(each, language) for each in value]
    if not isinstance(value, dict):
        return value
    union = value.get("oneOf") or value.get("anyOf") or ()
    if len(union) > 2 and all(str(each.get("$ref", "")).endswith("State") for each in union):
        return {"$ref": f"#/definitions/State{language}"}
    if "$ref" in value:
        name = value["$ref"].rpartition("/")[2]
        if language == _MIXED:
            language = JSONPATH if name in ("Branch", "ItemProcessor") else JSONATA
        return {"$ref": f"#/definitions/{name}{language}"}
    return {key: _referring(each, language) for key, each in value.items()}


def _state(types: list[str], language: str) -> Schema:
    """A state of any type. A state of a JSONPath machine may choose JSONata."""
    cases: list[Schema] = [
        {
            "if": {"properties": {"Type": {"const": type_}}},
            "then": {"$ref": f"#/definitions/{type_}State{_of_type(type_, language)}"},
        }
        for type_ in types
    ]
    docs = "\n".join(f"{type_}: {field_docs.TYPES[type_]}" for type_ in types)
    schema: Schema = {
        "type": "object",
        "required": ["Type"],
        "properties": {"Type": {"enum": types, "description": docs}},
        "allOf": cases,
    }
    if language != JSONPATH:
        schema["properties"]["QueryLanguage"] = {"const": JSONATA}
        return schema
    return {
        "if": {"properties": {"QueryLanguage": {"const": JSONATA}}, "required": ["QueryLanguage"]},
        "then": _state(types, _MIXED),
        "else": schema,
    }


def _of_type(type_: str, language: str) -> str:
    return JSONATA if language == _MIXED and type_ not in ("Parallel", "Map") else language


def _given(field: str) -> Schema:
    """Whether a field has a value: null and false do not count."""
    return {"required": [field], "properties": {field: {"not": {"enum": [None, False]}}}}


# --- Choice rules ---------------------------------------------------------------------------------


def _rule(schema: Schema, language: str) -> Schema:
    properties = schema["properties"]
    if language == JSONATA:
        properties["Condition"] = {
            "anyOf": [_EXPRESSION, {"type": "boolean"}, {"$ref": "#/definitions/Placeholder"}]
        }
        return {**schema, "additionalProperties": False, "required": ["Next", "Condition"]}
    return _test(tuple((name, each) for name, each in properties.items()))


def _test(fields: tuple[tuple[str, Schema], ...]) -> Schema:
    """A comparison, And, Or or Not. fields: more fields of a rule at the top, which needs Next."""
    tests = {"type": "array", "minItems": 1, "items": {"$ref": "#/definitions/Test"}}
    operators: Schema = {
        **{name: _operand(name) for name in OPERATORS},
        "And": tests,
        "Or": tests,
        "Not": {"$ref": "#/definitions/Test"},
    }
    for name in ("And", "Or", "Not"):
        operators[name] = {"description": field_docs.FIELDS[name], **operators[name]}
    return {
        "type": "object",
        "properties": {
            "Comment": {},
            "Variable": {"type": "string", "description": field_docs.FIELDS["Variable"]},
            **dict(fields),
            **operators,
        },
        "required": ["Next"] if fields else [],
        "additionalProperties": False,
        "oneOf": [{"required": [name]} for name in operators],
        "dependencies": {name: ["Variable"] for name in OPERATORS},
    }


def _operand(operator: str) -> Schema:
    type_ = next(
        kind
        for part, kind in _OPERANDS
        if (operator.endswith(part) if part == "Path" else operator.startswith(part))
    )
    if type_ == "string":
        return {"type": "string"}
    return {"anyOf": [{"type": type_}, {"$ref": "#/definitions/Placeholder"}]}
