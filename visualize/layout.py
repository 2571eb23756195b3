"""DOT -> SVG, PNG, PDF, by a layout program.

graphviz-pure   installed with this package: SVG and PNG
dot             of the system's Graphviz: also PDF, and platforms without a build of graphviz-pure
"""

import shutil
import subprocess
import sys
import sysconfig
from functools import cache
from pathlib import Path
from typing import Final

PURE: Final = "graphviz-pure"
SYSTEM: Final = "dot"
FORMATS: Final = {PURE: ("svg", "png"), SYSTEM: ("svg", "png", "pdf")}
TIMEOUT_SECONDS: Final = 120
_PIXELS_PER_INCH: Final = 192  # a picture for screens of twice the usual density


class RenderError(Exception):
    """A picture cannot be rendered; the message says why and what to install."""


@cache
def program(engine: str) -> str | None:
    """The path of an engine's program, beside this Python or on the PATH; None if it is not
    installed.
    """
    if engine == PURE:
        folders = dict.fromkeys((sysconfig.get_path("scripts"), str(Path(sys.executable).parent)))
        beside = next(
            (found for folder in folders if (found := shutil.which(PURE, path=folder))), None
        )
        return beside or shutil.which(PURE)
    return shutil.which(engine)


def lay_out(source: str, format: str, engine: str | None = None) -> bytes:
    """The picture of a DOT text. engine: PURE or SYSTEM, None: the first one installed that can
    write the format. Raises RenderError.
    """
    engines = [
        each
        for each in ([engine] if engine else FORMATS)
        if format in FORMATS[each] and program(each)
    ]
    if not engines:
        needed = (
            "the system's Graphviz (its program dot)"
            if format not in FORMATS[PURE]
            else "graphviz-pure or the system's Graphviz"
        )
        raise RenderError(
            f"{format} needs {needed}, which is not installed; the formats dot, mermaid and "
            "text do not need it"
        )
    command = [
        str(program(engines[0])),
        "-Kdot",
        f"-T{format}",
        *([f"-Gdpi={_PIXELS_PER_INCH}"] if format == "png" else []),
    ]
    try:
        done = subprocess.run(
            command,
            input=source.encode(),
            capture_output=True,
            timeout=TIMEOUT_SECONDS,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise RenderError(
            f"{engines[0]} did not finish the layout within {TIMEOUT_SECONDS} s"
        ) from None
    except OSError as fault:
        raise RenderError(f"{command[0]}: {fault.strerror or fault}") from None
    if done.returncode != 0 or not done.stdout:
        raise RenderError(
            f"{engines[0]} failed ({done.returncode}): "
            f"{done.stderr.decode(errors='replace').strip()[:500]}"
        )
    return done.stdout
