"""Values of ${Placeholders}: --param KEY=VALUE, and --params FILE, in the forms that
deployments have.

.env                            KEY=VALUE, one a line, with `export`, quotes and comments
JSON, YAML                      {"Key": value}: numbers, booleans, objects and arrays, too
SAM, CodePipeline               {"Parameters": {"Key": value}}
CloudFormation                  [{"ParameterKey": "Key", "ParameterValue": "value"}]
aws cloudformation deploy       ["Key=value"]
"""

import re
import shlex
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Final

from stepwell.asl import json_text
from stepwell.asl.evaluation import Json
from stepwell.asl.files.definition_files import DefinitionFileError
from stepwell.asl.files.placeholders import Placeholders
from stepwell.asl.files.yaml_values import YamlReader
from stepwell.asl.limits import Limits
from stepwell.engine.arns import Home
from stepwell.integrations.errors import UsageError

FORMS: Final = (
    'must have names and their values: {"Name": value}, {"Parameters": {"Name": value}} or '
    '[{"ParameterKey": "Name", "ParameterValue": "value"}]'
)
_LINE: Final = re.compile(r"\s*(?:export\s+)?([^\s=#]+)\s*=\s*(.*?)\s*")


def pseudo_parameters(home: Home) -> dict[str, Json]:
    """CloudFormation's names that have a value without a stack."""
    return {
        "AWS::AccountId": home.account,
        "AWS::Partition": home.partition,
        "AWS::Region": home.region,
        "AWS::URLSuffix": "amazonaws.com" + ".cn" * (home.partition == "aws-cn"),
    }


def from_options(options: Iterable[str]) -> dict[str, Json]:
    """Of --param KEY=VALUE ...: {KEY: VALUE}. Raises UsageError."""
    return dict(_pair(text, f"--param {text}") for text in options)


def _pair(text: str, where: str) -> tuple[str, str]:
    key, sign, value = text.partition("=")
    if not key or not sign:
        raise UsageError(f"{where}: not KEY=VALUE")
    return key, value


def from_file(name: str, data: bytes, limits: Limits) -> dict[str, Json]:
    """The values in the content of a file. Raises UsageError."""
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UsageError(f"{name}: not UTF-8 text") from None
    file = Path(name)
    if file.suffix == ".env" or file.name.startswith(".env"):
        return _from_lines(name, text)
    if file.suffix in (".yaml", ".yml"):
        placeholders = Placeholders({})
        try:
            value = YamlReader(name, placeholders, limits).read(text)
        except DefinitionFileError as fault:
            raise UsageError(str(fault)) from None
        text = placeholders.unmarked(json_text.dumps(value))
    try:
        value = json_text.loads(text)
    except json_text.JsonError as fault:
        raise UsageError(f"{name}:{fault.line}:{fault.column}: not JSON: {fault.message}") from None
    return _values(name, value)


def _values(name: str, value: Json) -> dict[str, Json]:
    if isinstance(value, dict):
        inner = value.get("Parameters")
        if isinstance(inner, dict):
            return dict(inner)
        if isinstance(inner, list):
            return _values(name, inner)
        return dict(value)
    values: dict[str, Json] = {}
    for each in value if isinstance(value, list) else [value]:
        if isinstance(each, str) and "=" in each:
            values.update([_pair(each, name)])
        elif isinstance(each, Mapping) and {"ParameterKey", "ParameterValue"} <= each.keys():
            values[str(each["ParameterKey"])] = each["ParameterValue"]
        else:
            raise UsageError(f"{name}: {FORMS}")
    return values


def _from_lines(name: str, text: str) -> dict[str, Json]:
    values: dict[str, Json] = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        match = _LINE.fullmatch(line)
        if match is None:
            raise UsageError(f"{name}:{number}:1: not KEY=VALUE")
        value = match[2]
        if value[:1] in ("'", '"'):
            try:
                value = shlex.split(value, comments=True)[0]
            except ValueError:
                raise UsageError(f"{name}:{number}:1: the quotes are not closed") from None
        else:
            value = re.sub(r"\s+#.*", "", value)
        values[match[1]] = value
    return values
