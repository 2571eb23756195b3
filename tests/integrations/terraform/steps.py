"""What tests/integrations/test_terraform.py looks at: terraform's commands, one after the other, on
a server of their own.
"""

import json
import os
import shutil
import subprocess
import zipfile
from pathlib import Path

import pytest
from tests.conftest import ROOT
from tests.integrations.server.live import Live, keep_compiled

SOURCE = Path(__file__).with_name("main.tf")
MIRROR = (
    ROOT.parent / "shared" / "tools" / "terraform_env.sh"
)  # prints where the machine keeps a provider, if it does
SECONDS = 280  # of one command: the provider itself waits long between its questions


def settings() -> dict[str, str]:
    """What lets `terraform init` find a provider without a network."""
    if not MIRROR.is_file():
        return {}
    told = subprocess.run(
        ["bash", "-c", f'eval "$(bash {MIRROR})" && env -0'],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    return dict(
        line.split("=", 1)
        for line in told.stdout.split("\0")
        if line.startswith(("TF_", "CHECKPOINT_"))
    )


class Terraform:
    """A folder with the configuration, applied to a server of its own. done: what became of each
    step.
    """

    def __init__(self, folder: Path) -> None:
        plain = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        plain |= {
            "HOME": str(folder),
            "XDG_DATA_HOME": str(folder),
            "PYTHONPATH": str(ROOT / ".dev"),
        }
        self.folder, self._environment = folder, plain | settings()
        shutil.copy(SOURCE, folder)
        with zipfile.ZipFile(folder / "code.zip", "w") as code:
            code.writestr("index.py", "def handler(event, context):\n    return event\n")
        initialised = self._run("init", "-input=false", "-no-color")
        if initialised.returncode:
            pytest.skip(f"terraform finds no AWS provider: {initialised.stderr.strip()[:300]}")
        self.live = Live(keep_compiled(plain, folder), folder / "served.db")
        self._variables = [f"-var=url={self.live.url}", f"-var=code={folder / 'code.zip'}"]
        try:
            self.done = self.steps()
        except BaseException:
            self.live.close()
            raise

    def _run(self, *words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["terraform", *words],
            cwd=self.folder,
            env=self._environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=SECONDS,
            check=False,
        )

    def __call__(
        self, command: str, *options: str, changed: bool = False
    ) -> subprocess.CompletedProcess[str]:
        given = [
            *self._variables,
            f"-var=changed={json.dumps(changed)}",
            "-input=false",
            "-no-color",
            *options,
        ]
        return self._run(command, *given)

    def steps(self) -> dict[str, subprocess.CompletedProcess[str]]:
        """Apply, change and destroy everything; each time a plan shows whether the answers differ
        from what was asked for (exit code 2).
        """
        done: dict[str, subprocess.CompletedProcess[str]] = {}
        for name, changed in (("apply", False), ("change", True)):
            done[name] = self("apply", "-auto-approve", changed=changed)
            done[f"plan after {name}"] = self("plan", "-detailed-exitcode", changed=changed)
            done[f"state after {name}"] = self._run("state", "list")
        done["destroy"] = self("destroy", "-auto-approve", changed=True)
        done["state after destroy"] = self._run("state", "list")
        return done
