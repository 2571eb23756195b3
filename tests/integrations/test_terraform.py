"""Terraform's AWS provider: each resource type of the services that the server implements is applied, changed and destroyed, without drift.

Skipped where there is no terraform or no provider for it: `terraform init` has to find hashicorp/aws, in a mirror or in the registry.
"""

import json
import os
import shutil
import subprocess
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.conftest import ROOT
from tests.integrations.api.live import Live, keep_compiled

SOURCE = Path(__file__).parent / "terraform" / "main.tf"
MIRROR = ROOT.parent / "shared" / "tools" / "terraform_env.sh"  # prints where the machine keeps a provider, if it does
SECONDS = 280  # of one command: the provider itself waits long between its questions

pytestmark = pytest.mark.skipif(shutil.which("terraform") is None, reason="terraform is not installed")


def settings() -> dict[str, str]:
    """What lets `terraform init` find a provider without a network."""
    if not MIRROR.is_file():
        return {}
    told = subprocess.run(["bash", "-c", f'eval "$(bash {MIRROR})" && env -0'], capture_output=True, text=True, timeout=120, check=False)
    return dict(line.split("=", 1) for line in told.stdout.split("\0") if line.startswith(("TF_", "CHECKPOINT_")))


class Terraform:
    """A folder with the configuration, applied to a server of its own."""

    def __init__(self, folder: Path) -> None:
        plain = {name: os.environ[name] for name in ("PATH", "LANG") if name in os.environ}
        plain |= {"HOME": str(folder), "XDG_DATA_HOME": str(folder), "PYTHONPATH": str(ROOT / ".dev")}
        self.folder, self._environment = folder, plain | settings()
        shutil.copy(SOURCE, folder)
        with zipfile.ZipFile(folder / "code.zip", "w") as code:
            code.writestr("index.py", "def handler(event, context):\n    return event\n")
        initialised = self._run("init", "-input=false", "-no-color")
        if initialised.returncode:
            pytest.skip(f"terraform finds no AWS provider: {initialised.stderr.strip()[:300]}")
        self.live = Live(keep_compiled(plain, folder), folder / "served.db")
        self._variables = [f"-var=url={self.live.url}", f"-var=code={folder / 'code.zip'}"]

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

    def __call__(self, command: str, *options: str, changed: bool = False) -> subprocess.CompletedProcess[str]:
        given = [*self._variables, f"-var=changed={json.dumps(changed)}", "-input=false", "-no-color", *options]
        return self._run(command, *given)

    def apply(self, changed: bool = False) -> None:
        done = self("apply", "-auto-approve", changed=changed)
        assert done.returncode == 0, done.stderr
        planned = self("plan", "-detailed-exitcode", changed=changed)  # 2: the answers differ from what was asked for
        assert planned.returncode == 0, planned.stdout + planned.stderr

    def state(self) -> list[str]:
        """The resources that exist, by type and name."""
        return self._run("state", "list").stdout.split()


@pytest.fixture(scope="module")
def terraform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Terraform]:
    found = Terraform(tmp_path_factory.mktemp("terraform"))
    yield found
    found.live.close()


def test_apply(terraform: Terraform) -> None:
    terraform.apply()
    written = [line.split('"')[1::2] for line in SOURCE.read_text().splitlines() if line.startswith("resource ")]
    assert sorted(terraform.state()) == sorted(f"{kind}.{name}" for kind, name in written)


def test_change(terraform: Terraform) -> None:
    terraform.apply(changed=True)


def test_destroy(terraform: Terraform) -> None:
    done = terraform("destroy", "-auto-approve", changed=True)
    assert done.returncode == 0, done.stderr
    assert terraform.state() == []

    def left(service: str, operation: str, member: str) -> Any:
        return getattr(terraform.live.client(service), operation)().get(member, [])

    assert left("stepfunctions", "list_state_machines", "stateMachines") == []
    assert left("stepfunctions", "list_activities", "activities") == []
    assert left("lambda", "list_functions", "Functions") == left("lambda", "list_event_source_mappings", "EventSourceMappings") == []
    assert (
        left("sqs", "list_queues", "QueueUrls")
        == left("sns", "list_topics", "Topics")
        == left("sns", "list_subscriptions", "Subscriptions")
        == []
    )
    assert [bus["Name"] for bus in left("events", "list_event_buses", "EventBuses")] == ["default"]
    assert (
        left("events", "list_rules", "Rules")
        == left("events", "list_archives", "Archives")
        == left("events", "list_connections", "Connections")
        == []
    )
    assert left("scheduler", "list_schedules", "Schedules") == []
    assert [group["Name"] for group in left("scheduler", "list_schedule_groups", "ScheduleGroups")] == ["default"]
    assert left("apigatewayv2", "get_apis", "Items") == left("iot", "list_topic_rules", "rules") == []
