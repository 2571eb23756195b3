"""Values of a template's parameters in the samconfig.toml beside it, which `sam deploy` reads.

    [default.deploy.parameters]
    parameter_overrides = "Stage=dev Table='a b'"      # or a list of such texts, or a table
    parameter_overrides = "ParameterKey=Stage,ParameterValue=dev"

The environment is `default`. Its `deploy` has priority over `global`.
"""

import posixpath
import re
import shlex
import tomllib
from collections.abc import Callable, Iterator, Mapping
from typing import Final

from stepwell.asl.evaluation import Json
from stepwell.asl.files.yaml_values import DefinitionFileError

_FILE: Final = "samconfig.toml"
_BUILT: Final = ".aws-sam/build"  # where `sam build` writes a template
_COMMANDS: Final = ("global", "deploy")
_PAIR: Final = re.compile(r"ParameterKey=([^,]+),ParameterValue=(.*)", re.DOTALL)
_AT: Final = re.compile(r" \(at line (\d+), column (\d+)\)")


def parameters(filename: str, open_file: Callable[[str], bytes | None]) -> Mapping[str, Json]:
    """Of the template of this name; empty without such a file. Raises DefinitionFileError."""
    folder = posixpath.dirname(filename)
    if folder == _BUILT or folder.endswith(f"/{_BUILT}"):
        folder = folder.removesuffix(_BUILT)
    file = posixpath.join(folder, _FILE)
    data = open_file(file)
    if data is None:
        return {}
    try:
        config = tomllib.loads(data.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as fault:
        at = _AT.search(str(fault))
        place = (int(at[1]), int(at[2])) if at else (1, 1)
        raise DefinitionFileError(file, place, f"not TOML: {_AT.sub('', str(fault))}") from None
    found: dict[str, Json] = {}
    for command in _COMMANDS:
        found.update(
            _pairs(_member(config, "default", command, "parameters", "parameter_overrides"))
        )
    return found


def _member(value: Json, *keys: str) -> Json:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value


def _pairs(overrides: Json) -> Iterator[tuple[str, Json]]:
    if isinstance(overrides, dict):
        yield from overrides.items()
    elif isinstance(overrides, list):
        for each in overrides:
            yield from _pairs(each)
    elif isinstance(overrides, str):
        for word in _words(overrides):
            match = _PAIR.fullmatch(word)
            key, sign, value = (match[1], "=", match[2]) if match else word.partition("=")
            if sign:
                yield key, value


def _words(text: str) -> list[str]:
    try:
        return shlex.split(text)
    except ValueError:  # a quote that is not closed
        return text.split()
