"""The Dockerfile and the compose file of examples/production."""

import os
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

import pytest
import yaml
from tests.conftest import ROOT, SCRIPT
from tests.integrations.server.live import Live

FOLDER = ROOT / "examples" / "production"
DOCKERFILE = (FOLDER / "Dockerfile").read_text()
HADOLINT = Path(sys.executable).with_name("hadolint")


@pytest.fixture
def live(home: dict[str, str], tmp_path: Path) -> Iterator[Live]:
    live = Live(home, tmp_path / "served.db", program=SCRIPT)
    yield live
    live.close()


@pytest.mark.skipif(not HADOLINT.exists(), reason="needs hadolint, which the extra `dev` installs")
def test_hadolint_finds_nothing() -> None:
    words = [HADOLINT, "--no-color", FOLDER / "Dockerfile"]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_runs_as_nobody_special() -> None:
    last = DOCKERFILE.rpartition("FROM ")[2]
    assert re.search(r"^USER 10001:10001$", last, re.MULTILINE)
    assert re.search(r"^STOPSIGNAL SIGTERM$", last, re.MULTILINE)
    assert re.search(r"^VOLUME /var/lib/stepwell$", last, re.MULTILINE)
    assert "COPY . ." not in last


def test_its_context_has_what_the_wheel_is_built_of_and_no_more() -> None:
    kept = [
        line[1:]
        for line in (FOLDER / "Dockerfile.dockerignore").read_text().splitlines()
        if line.startswith("!")
    ]
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wheel = project["tool"]["hatch"]["build"]["targets"]["wheel"]["only-include"]
    needed = {Path(each).parts[0] for each in wheel} | {"pyproject.toml"}
    needed |= {project["project"]["readme"], *project["project"]["license-files"]}
    assert set(kept) == needed
    assert all((ROOT / each).exists() for each in kept)
    assert not any(fnmatch(".git", pattern) for pattern in kept)


def test_the_health_check_tells_a_server_from_none(live: Live) -> None:
    text = DOCKERFILE.replace("\\\n", " ")
    check = yaml.safe_load(re.findall(r"^HEALTHCHECK .*?CMD (\[.*\])", text, re.MULTILINE)[0])
    assert check[:2] == ["python", "-c"]
    program = check[2]
    for url, code in ((live.url, 0), ("http://127.0.0.1:9", 1)):
        done = subprocess.run(
            [sys.executable, "-c", program.replace("http://127.0.0.1:8083", url)],
            capture_output=True,
            timeout=30,
            check=False,
        )
        assert done.returncode == code


def test_its_command_starts_a_server(home: dict[str, str], tmp_path: Path) -> None:
    keys = tmp_path / "credentials"
    keys.write_text("[default]\naws_access_key_id = AKID\naws_secret_access_key = secret\n")
    keys.chmod(0o600)
    settings = re.findall(r"(STEPWELL_\w+)=\S+", DOCKERFILE)
    assert sorted(settings) == ["STEPWELL_CREDENTIALS", "STEPWELL_DB"]
    home |= {"STEPWELL_CREDENTIALS": str(keys), "STEPWELL_DB": str(tmp_path / "other.db")}
    command = re.findall(r"^CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)[0]
    words = yaml.safe_load(command)
    assert words[0] == "serve"
    live = Live(home, tmp_path / "served.db", *words[1:], program=SCRIPT)
    try:
        assert live.url.startswith("http://0.0.0.0:")
        assert live.get("/ready") == "ready\n"
    finally:
        live.close()


def compose() -> dict[str, Any]:
    loaded: dict[str, Any] = yaml.safe_load((FOLDER / "compose.yaml").read_text())
    return loaded


def test_the_compose_file_is_valid() -> None:
    compose_spec = pytest.importorskip(
        "compose_spec", reason="needs compose-spec, which the extra `dev` installs"
    )
    text = (FOLDER / "compose.yaml").read_text()
    found = compose_spec.PyCompose.from_yaml(text)
    found.validate()
    assert set(found.to_spec().services) == {"primary", "standby", "node-1", "node-2", "balancer"}


def test_what_it_names_exists() -> None:
    services = compose()["services"]
    for service in services.values():
        for volume in service.get("volumes", ()):
            source = volume.partition(":")[0]
            if source.startswith("."):
                assert (FOLDER / source).is_file(), source
                assert volume.endswith(":ro")
            else:
                assert source in compose()["volumes"]
        for secret in service.get("secrets", ()):
            assert secret in compose()["secrets"]
        for other in service.get("depends_on", ()):
            assert other in services
    build = services["node-1"]["build"]
    assert (FOLDER / build["context"]).resolve() == ROOT
    assert (ROOT / build["dockerfile"]).is_file()
    assert "stepwell-credentials" in services["node-1"]["secrets"]  # as the image expects it


@pytest.mark.parametrize("script", ["primary.sh", "standby.sh"])
def test_scripts_are_valid(script: str) -> None:
    path = FOLDER / "postgres" / script
    assert os.access(path, os.X_OK)
    assert subprocess.run(["bash", "-n", path], check=False).returncode == 0
