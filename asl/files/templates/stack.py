"""What a template of CloudFormation, SAM, CDK or Serverless itself says of its names: pseudo
parameters, defaults of parameters, mappings, conditions, and the names and ARNs of resources.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from functools import cache
from typing import Final

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.asl.files.placeholders import Known, Placeholders, as_text
from stepwell.asl.files.templates.intrinsic_functions import replaced
from stepwell.asl.files.templates.names import MOST_NAMES, PSEUDO, Lookups, place
from stepwell.asl.files.templates.resource_types import TYPES

_STACK: Final = "stack"  # the name of a stack, which is not in its template
_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")
_LAST: Final = re.compile(r".*:function:([^:]+).*")  # the name in the ARN of a function
_SUFFIX: Final = "LambdaFunction"  # of logical ids of Serverless
_SPELLED: Final = {"-": "Dash", "_": "Underscore"}
_VARIABLE: Final = re.compile(r"\s*(?:'([^']*)'|\"([^\"]*)\"|(\w+):([\w.:-]*))\s*\Z")
_FILE: Final = re.compile(r"file\(([^()]+)\)(?::([\w.-]+))?")
_NESTED: Final = re.compile(r"\$\{([^${}]*)\}")
_OUTER: Final = re.compile(r",(?![^{]*\})")


class Stack:
    """find(): the value of a name.

    template   as it was parsed
    load       the value of a file that a template of Serverless names; None if there is none
    overrides  values of parameters that a file beside the template has
    """

    def __init__(
        self,
        template: Json,
        placeholders: Placeholders,
        load: Callable[[str], Json] = lambda path: None,
        overrides: Callable[[], Mapping[str, Json]] = lambda: {},
    ) -> None:
        self._placeholders, self._load, self._overrides = placeholders, load, cache(overrides)
        self._files: dict[str, Json] = {}
        self.template: dict[str, Json] = template if isinstance(template, dict) else {}
        self._lookups, self.place = Lookups(), place(placeholders.values)
        self.functions: dict[str, dict[str, Json]] = {}  # names of files that have some need none
        self.resources: dict[str, dict[str, Json]] = {}
        self.functions = self._of_serverless("functions")
        self.resources = dict(self._resources())

    @property
    def region(self) -> str:
        return self.place["region"]

    def _of_serverless(self, key: str) -> dict[str, dict[str, Json]]:
        """An object, or several, which other files may have."""
        value = self.template.get(key)
        parts = [self._opened(each) for each in (value if isinstance(value, list) else [value])]
        return {name: each for part in parts for name, each in _objects(part).items()}

    def _opened(self, value: Json) -> Json:
        """A value, or that of the file ${file(functions.yml):key} which it stands for."""
        match = self._included(value) if isinstance(value, str) else None
        if match is None:
            return value
        if match[1] not in self._files:
            self._files[match[1]] = None
            self._files[match[1]] = self._load(match[1])
        return self._member(self._files[match[1]], match[2] or "")

    def _member(self, value: Json, path: str) -> Json:
        for key in path.split(".") if path else ():
            value = self._opened(value)
            value = value.get(key) if isinstance(value, dict) else None
        return self._opened(value)

    def included_machines(self) -> Iterator[tuple[str, str, str]]:
        """(name, file, key) of stateMachines that are ${file(FILE):KEY}. Empty: all in the file."""
        holder = self.template.get("stepFunctions")
        value = holder.get("stateMachines") if isinstance(holder, dict) else holder
        for each in value if isinstance(value, list) else [value]:
            named = each.items() if isinstance(each, dict) else [("", each)]
            for name, machine in named:
                if isinstance(machine, str) and (match := self._included(machine)):
                    yield name, match[1].strip(), match[2] or ""

    def _included(self, written: str) -> re.Match[str] | None:
        """file, key: file(config/${self:provider.stage}.yml):queues"""
        text = self._placeholders.unmarked(written).removeprefix("${").removesuffix("}")
        if not text.startswith("file("):
            return None
        return _FILE.fullmatch(_NESTED.sub(self._nested, text))

    def _nested(self, match: re.Match[str]) -> str:
        known = self.find(match[1])
        return match[0] if known is None else as_text(known.value)

    def _resources(self) -> Iterator[tuple[str, dict[str, Json]]]:
        for name in self.functions:
            properties = {"FunctionName": self.function_name(name)}
            function: dict[str, Json] = {"Type": "AWS::Lambda::Function", "Properties": properties}
            yield name, function
            yield logical_id(name), function
        holders = self.template.get("resources")
        for each in (self.template, *(holders if isinstance(holders, list) else [holders])):
            holder = self._opened(each)
            if isinstance(holder, dict):
                yield from _objects(self._opened(holder.get("Resources"))).items()

    def defines(self, id: str) -> bool:
        """Whether there is a resource or parameter of this name."""
        return id in self.resources or self.has_parameter(id)

    def has_parameter(self, name: str) -> bool:
        return name in _objects(self.template.get("Parameters"))

    @property
    def defaults(self) -> dict[str, Json]:
        """The properties that all functions of SAM have."""
        return _objects(self.template.get("Globals")).get("Function", {})

    @property
    def provider(self) -> dict[str, Json]:
        """Of Serverless."""
        value = self._opened(self.template.get("provider"))
        return value if isinstance(value, dict) else {}

    def function_name(self, name: str) -> str:
        """Of a function in serverless.yml."""
        given = self.functions[name].get("name")
        return given if isinstance(given, str) else f"{self._service()}-{self._stage()}-{name}"

    def _service(self) -> str:
        service = self.template.get("service")
        name = service.get("name") if isinstance(service, dict) else service
        return name if isinstance(name, str) else "service"

    def _stage(self) -> str:
        given = self._placeholders.values.get("opt:stage")
        stage = self.provider.get("stage")
        known = self._placeholders.known(stage) if isinstance(stage, str) else None
        return str(given or (known.value if known else "dev"))

    def value(self, value: Json) -> Known | None:
        """A value of the template, if it is known."""
        return self._placeholders.known(replaced(value, self._placeholders, self))

    def find(self, name: str) -> Known | None:
        if name in self._placeholders.values:
            return Known(self._placeholders.values[name])
        return self._lookups.get(name, self._find)

    def _find(self, name: str) -> Known | None:
        if name in PSEUDO:
            return Known(self.place[PSEUDO[name][0]])
        if name == "AWS::StackName" and self.resources:
            return Known(_STACK, fixed=False)
        parameter = _objects(self.template.get("Parameters")).get(name)
        if parameter is not None:
            return _parameter(parameter, self._overrides().get(name))
        id, _, attribute = name.partition(".")
        if id in self.resources:
            return self._attribute(id, attribute)
        return self._variable(name) if ":" in name or name.startswith("file(") else None

    def _attribute(self, id: str, attribute: str) -> Known | None:
        resource = self.resources[id]
        kind = TYPES.get(str(resource.get("Type")))
        text = (
            dict(kind.attributes()).get("" if attribute == "Ref" else attribute) if kind else None
        )
        if kind is None or text is None:
            return None
        properties = _objects({"": resource.get("Properties")}).get("", {})
        name, *others = [self.text(properties.get(field)) for field in (kind.name, *_NAMES)]
        words = {**self.place, **dict(zip(_NAMES, others)), "name": name or id}
        return (
            None if None in (words[each] for each in _fields(text)) else Known(text.format(**words))
        )

    def text(self, value: Json) -> str | None:
        """A name, or the name in an ARN of a function. None if it depends on the stack's name: the
        logical id of the resource says more.
        """
        written = replaced(value, self._placeholders, self)
        known = self._placeholders.known(written)
        if known is None or not isinstance(known.value, str) or not known.value:
            return None
        if "AWS::StackName" in self._placeholders.unmarked(written):
            return None
        return _LAST.sub(r"\1", known.value)

    # --- conditions and mappings ------------------------------------------------------------------

    def condition(self, name: str) -> Known | None:
        conditions = self.template.get("Conditions")
        if not isinstance(conditions, dict) or name not in conditions:
            return None
        known = self._lookups.get(f"Conditions.{name}", lambda _: self.value(conditions[name]))
        return known if known is not None and isinstance(known.value, bool) else None

    def undecided(self, condition: str) -> list[str]:
        conditions = self.template.get("Conditions")
        written = conditions.get(condition) if isinstance(conditions, dict) else None
        names = _references(
            written, conditions if isinstance(conditions, dict) else {}, {condition}
        )
        return [name for name in dict.fromkeys(names) if self.find(name) is None]

    def mapped(self, keys: list[Json]) -> Json:
        value: Json = self.template["Mappings"]
        for key in keys[:3]:
            value = value[key if isinstance(key, str) else json_text.dumps(key)]
        return value

    # --- variables of Serverless ------------------------------------------------------------------

    def _variable(self, name: str) -> Known | None:
        """self:custom.table, opt:stage, 'dev'"""
        inner = {match[0]: self.find(match[1]) for match in _NESTED.finditer(name)}
        for written, known in inner.items():
            if known is None or isinstance(known.value, dict | list):
                return None
            name = name.replace(written, str(known.value))
        for each in _OUTER.split(name):
            if _FILE.fullmatch(each.strip()):
                value = self._opened(f"${{{each.strip()}}}")
                if value is not None and (known := self.value(value)) is not None:
                    return known._replace(fixed=False)
                continue
            match = _VARIABLE.match(each)
            if match is None:
                return None
            if match[3] is None:
                return Known(match[1] if match[1] is not None else match[2], fixed=False)
            if (known := self._source(match[3], match[4])) is not None:
                return known._replace(fixed=False)
        return None

    def _source(self, source: str, path: str) -> Known | None:
        if f"{source}:{path}" in self._placeholders.values:
            return Known(self._placeholders.values[f"{source}:{path}"])
        if source in ("opt", "sls") and path == "stage":
            return Known(self._stage()) if source == "sls" else None
        if source == "aws" and path in ("region", "accountId"):
            return Known(self.place["region" if path == "region" else "account"])
        if source != "self":
            return None
        if path == "provider.stage":
            return Known(self._stage())
        value = self._member(self.template, path)
        return None if value is None else self.value(value)


_NAMES: Final = ("FunctionName", "AutoPublishAlias")  # properties in texts of the table of types


def _references(value: Json, conditions: dict[str, Json], seen: set[str]) -> Iterator[str]:
    """The names in a condition, and in those that it names."""
    if isinstance(value, dict):
        for key, each in value.items():
            if key == "Ref" and isinstance(each, str):
                yield each
            elif key in ("Condition", "Fn::Condition") and isinstance(each, str):
                if each not in seen and len(seen) < MOST_NAMES:
                    seen.add(each)
                    yield from _references(conditions.get(each), conditions, seen)
            else:
                yield from _references(each, conditions, seen)
    elif isinstance(value, list):
        for each in value:
            yield from _references(each, conditions, seen)


def _fields(text: str) -> list[str]:
    return re.findall(r"\{(\w+)\}", text)


def logical_id(name: str) -> str:
    """Of a function of Serverless: say-hello -> SayDashhelloLambdaFunction."""
    spelled = "".join(_SPELLED.get(char, char) for char in name)
    return spelled[:1].upper() + spelled[1:] + _SUFFIX


def _objects(value: Json) -> dict[str, dict[str, Json]]:
    """The members that are objects."""
    if not isinstance(value, dict):
        return {}
    return {name: each for name, each in value.items() if isinstance(each, dict)}


def _parameter(parameter: dict[str, Json], override: Json) -> Known | None:
    """The value of a parameter, else its default. That of a parameter of SSM is not its own."""
    value, kind = parameter.get("Default"), str(parameter.get("Type"))
    value = value if override is None else override
    if value is None or kind.startswith("AWS::SSM"):
        return None
    if kind == "Number" and isinstance(value, str) and _NUMBER.fullmatch(value):
        value = json_text.loads(value)
    elif kind.startswith(("List<", "CommaDelimitedList")) and isinstance(value, str):
        value = [each.strip() for each in value.split(",")]
    return Known(value, fixed=False)
