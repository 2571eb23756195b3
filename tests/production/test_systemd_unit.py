"""The systemd unit of examples/production. tests/integrations/server/test_systemd.py has the
server's side of Type=notify.
"""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tests.conftest import ROOT

UNIT = ROOT / "examples" / "production" / "systemd" / "stepwell.service"
ANALYZE = shutil.which("systemd-analyze")

pytestmark = pytest.mark.skipif(ANALYZE is None, reason="needs systemd (scripts/operations)")


def analyze(*words: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(ANALYZE), *map(str, words)], capture_output=True, text=True, check=False
    )


def test_the_unit_is_valid(tmp_path: Path) -> None:
    unit = tmp_path / UNIT.name
    text = UNIT.read_text()
    assert "ExecStart=/opt/stepwell/bin/stepwell serve" in text
    unit.write_text(text.replace("/opt/stepwell/bin/stepwell", sys.executable))
    done = analyze("verify", unit)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_unit_is_hardened() -> None:
    """2.0 of 10: most units of a distribution have more than 9."""
    done = analyze("security", "--offline=true", "--threshold=20", UNIT)
    assert done.returncode == 0, done.stdout
