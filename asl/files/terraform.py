"""Terraform files -> templates: each aws_sfn_state_machine, and each module with a definition, is a
resource of a template of CloudFormation, which definition_templates.py reads.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.asl.files import json_mends
from stepwell.asl.files.hcl_reader import Body, Call, HclReader, Text, Value
from stepwell.asl.files.placeholders import MarkedJson, Placeholders
from stepwell.asl.files.yaml_values import DefinitionFileError, Place
from stepwell.asl.json_text import member

SUFFIX: Final = ".tf"
_TYPE: Final = "aws_sfn_state_machine"
_CODECS: Final = ("jsonencode", "jsondecode", "yamldecode")
_LOCAL: Final = re.compile(r"\$\{local\.([\w-]+)\}")
_RENDERED: Final = re.compile(r"\$\{data\.template_file\.([\w-]+)\.rendered\}")
_HERE: Final = re.compile(r"\$\{path\.(?:module|root|cwd)\}/")


def _is_call(arguments: list[Value]) -> bool:
    return bool(arguments) and isinstance(arguments[0], Call)


class _Definition(NamedTuple):
    offset: int
    value: Value
    places: Mapping[str, Place]


class Terraform:
    """value: the template; places: location -> place."""

    def __init__(self, text: str, filename: str, placeholders: Placeholders) -> None:
        self.text, self.filename, self.placeholders = text, filename, placeholders
        self.reader = HclReader(filename, text, placeholders)
        self.body = self.reader.read()
        self.places: dict[str, Place] = {"/": (1, 1)}
        resources: dict[str, Json] = {}
        for name, body in self._machines():
            offset, value, places = body.attributes["definition"]
            found = self._resolved(_Definition(offset, value, places))
            inside = member(member("/Resources", name), "Properties")
            properties = self._properties(found, inside)
            if "name" in body.attributes:
                called = body.attributes["name"][1]
                properties["StateMachineName"] = called if isinstance(called, str) else None
            if "type" in body.attributes:
                properties["StateMachineType"] = body.attributes["type"][1]
            resources[name] = {
                "Type": "AWS::StepFunctions::StateMachine",
                "Properties": properties,
            }
        self.value: dict[str, Json] = {"Resources": resources}

    def _machines(self) -> Iterator[tuple[str, Body]]:
        for kind, labels, body in self.body.blocks:
            wanted = (kind == "resource" and labels[:1] == (_TYPE,)) or kind == "module"
            if wanted and labels and "definition" in body.attributes:
                yield labels[-1], body

    def _resolved(self, found: _Definition) -> _Definition:
        """What `local.x` or `data.template_file.x.rendered` stands for, if it is in this file."""
        if not isinstance(found.value, str):
            return found
        written = self.placeholders.unmarked(found.value)
        if match := _LOCAL.fullmatch(written):
            for kind, _, body in self.body.blocks:
                if kind == "locals" and match[1] in body.attributes:
                    return _Definition(*body.attributes[match[1]])
        if match := _RENDERED.fullmatch(written):
            for kind, labels, body in self.body.blocks:
                if kind == "data" and labels == ("template_file", match[1]):
                    template = body.attributes.get("template", (0, None, {}))
                    values = body.attributes.get("vars", (0, {}, {}))[1]
                    if isinstance(template[1], Call):
                        call = Call("templatefile", [*template[1].arguments[:1], values])
                        return _Definition(template[0], call, template[2])
                    return _Definition(*template)
        return found

    def _local(self, value: Value) -> Value:
        """The value of a local of this file, else the value itself."""
        written = self.placeholders.unmarked(value) if isinstance(value, str) else ""
        if match := _LOCAL.fullmatch(written):
            for kind, _, body in self.body.blocks:
                if kind == "locals" and match[1] in body.attributes:
                    return body.attributes[match[1]][1]
        return value

    def _properties(self, found: _Definition, inside: str) -> dict[str, Json]:
        place = self.reader.lines.at(found.offset)
        value = found.value
        for name in ("Definition", "DefinitionString", "DefinitionUri"):
            self.places[member(inside, name)] = place
        if isinstance(value, Text):
            return {"Definition": self._text(value, member(inside, "Definition"))}
        while isinstance(value, Call) and value.name in _CODECS and _is_call(value.arguments[:1]):
            value = value.arguments[0]  # jsonencode(yamldecode(file("..."))): the file
        if isinstance(value, Call):
            first, *others = [*value.arguments, None][:2]
            if value.name == "jsonencode" and isinstance(first, dict):
                where = member(inside, "Definition")
                self.places.update(
                    {where + each: at for each, at in found.places.items() if each != "/"}
                )
                return {"Definition": first}
            if isinstance(first, str):
                others = [self._local(each) for each in others]
                file = _HERE.sub("", self.placeholders.unmarked(first))
                # a text: an expression; None: file(...), which replaces nothing
                values = others[0] if others and isinstance(others[0], dict | str) else None
                self.places[member(inside, "DefinitionSubstitutions")] = place
                return {"DefinitionUri": file, "DefinitionSubstitutions": values}
        elif isinstance(value, dict):
            return {"Definition": value}
        elif isinstance(value, str):
            return {"DefinitionString": value}
        message = "the definition is an expression: save it in a file of its own, or write it here"
        raise DefinitionFileError(self.filename, place, message)

    def _text(self, value: Text, location: str) -> Json:
        """The JSON of a heredoc."""
        before = re.sub(r"[^\n]", " ", self.text[: value.start])  # keeps offsets and places
        marked = MarkedJson(before + self.text[value.start : value.end], self.placeholders)
        try:
            found = json_text.loads(marked.text)
            positions = json_text.positions(marked.text)
        except json_text.JsonError as fault:
            place = marked.place(max(fault.line, 1), max(fault.column, 1))
            mend = json_mends.mend(self.text, json_text.offset(self.text, *place), fault.message)
            message = f"the definition is not JSON: {fault.message}" + f": {mend}" * bool(mend)
            raise DefinitionFileError(self.filename, place, message) from None
        self.places.update(
            {location + each: marked.place(*at) for each, at in positions.items() if each != "/"}
        )
        return found
