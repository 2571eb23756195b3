"""What all templates need to find the values of their names."""

from collections.abc import Callable, Mapping
from typing import Final

from stepwell.asl.evaluation import Json
from stepwell.asl.files.placeholders import Known, as_text

# pseudo parameter -> (its word in the table of types, sample)
PSEUDO: Final[Mapping[str, tuple[str, str]]] = {
    "AWS::Partition": ("partition", "aws"),
    "AWS::Region": ("region", "us-east-1"),
    "AWS::AccountId": ("account", "123456789012"),
    "AWS::URLSuffix": ("suffix", "amazonaws.com"),
}
MOST_NAMES: Final = 50  # that stand for one another
LARGEST_VALUE: Final = 1024 * 1024  # as a definition: texts of texts grow with a power of two


def place(values: Mapping[str, Json]) -> dict[str, str]:
    """Word of the table of types -> the value of its pseudo parameter."""
    return {word: str(values.get(name, sample)) for name, (word, sample) in PSEUDO.items()}


class Lookups:
    """The value of each name, found once. One that its own value needs has none, nor one that no
    definition has room for.
    """

    def __init__(self) -> None:
        self._found: dict[str, Known | None] = {}
        self._depth = 0

    def get(self, name: str, find: Callable[[str], Known | None]) -> Known | None:
        if name not in self._found:
            self._found[name] = None
            if self._depth < MOST_NAMES:
                self._depth += 1
                known = find(name)
                self._depth -= 1
                if known is not None and len(as_text(known.value)) <= LARGEST_VALUE:
                    self._found[name] = known
        return self._found[name]
