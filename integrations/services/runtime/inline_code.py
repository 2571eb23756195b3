"""The code of functions that is written in a template, as files."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory


class InlineCode:
    """A temporary folder with a folder for each function; made when it is needed."""

    def __init__(self) -> None:
        self._folder: TemporaryDirectory[str] | None = None

    def folder(self, name: str, file: str, code: str) -> str:
        """The folder of a function, with its file in it."""
        if self._folder is None:
            self._folder = TemporaryDirectory(prefix="stepwell-functions-")
        folder = Path(self._folder.name) / name
        path = folder / file
        if not path.is_file():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(code, encoding="utf-8")
        return str(folder)

    def close(self) -> None:
        if self._folder is not None:
            self._folder.cleanup()
            self._folder = None
