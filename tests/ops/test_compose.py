"""docker-compose.yml: what the Compose specification allows, and what runs natively."""

import re
import shlex
from pathlib import Path
from typing import Any

import pytest
import yaml
from compose_spec import PyCompose

ROOT = Path(__file__).resolve().parents[2]
FILES = ["docker-compose.yml", "docker-compose.gpu.yml"]
WRAPPER = ["python", "-m", "scripts.keep"]
OURS = ["web", "worker-text", "worker-image", "worker-check", "beat"]


def as_compose_reads(name: str) -> dict[str, Any]:
    """A file with its variables at their defaults (or any value where it demands one) and its anchors merged."""
    text = (ROOT / name).read_text()
    text = re.sub(r"\$\{\w+(?::-([^}]*)|:\?[^}]*)\}", lambda found: found[1] if found[1] is not None else "given", text)
    read: dict[str, Any] = yaml.safe_load(text.replace("$$", "$"))
    return read


def native_commands() -> dict[str, list[str]]:
    """The Procfile's commands without the wrapper that Docker's own restart policy replaces."""
    lines = [line.split(":", 1) for line in (ROOT / "Procfile").read_text().splitlines()]
    commands = {name: shlex.split(command) for name, command in lines}
    assert all(command[:3] == WRAPPER for command in commands.values())
    return {name: command[3:] for name, command in commands.items()}


@pytest.fixture(scope="module")
def services() -> dict[str, Any]:
    """The services of the main file."""
    services: dict[str, Any] = as_compose_reads("docker-compose.yml")["services"]
    return services


@pytest.mark.parametrize("name", FILES)
def test_it_is_a_compose_file(name: str) -> None:
    PyCompose.from_yaml(yaml.safe_dump(as_compose_reads(name))).to_spec()


@pytest.mark.parametrize(
    "mistake", [{"comand": "granian"}, {"ports": {"8000": 8000}}, {"healthcheck": {"every": "5s"}}]
)
def test_the_check_would_see_a_mistake(mistake: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(mistake))):
        PyCompose.from_yaml(yaml.safe_dump({"services": {"web": {"image": "x"} | mistake}}))


def test_each_service_runs_what_runs_natively(services: dict[str, Any]) -> None:
    assert {name: shlex.split(services[name]["command"]) for name in OURS} == native_commands()


def test_there_is_redis_postgres_and_one_preparation(services: dict[str, Any]) -> None:
    assert set(services) == {*OURS, "redis", "postgres", "prepare"}
    assert "noeviction" in services["redis"]["command"]
    assert "--appendonly yes" in services["redis"]["command"]


def test_every_lasting_service_has_a_health_check_and_keeps_its_data(services: dict[str, Any]) -> None:
    volumes = as_compose_reads("docker-compose.yml")["volumes"]
    for name in set(services) - {"prepare"}:
        assert services[name]["healthcheck"]["test"]
        assert [volume.split(":")[0] in volumes for volume in services[name]["volumes"]] == [True]


def test_our_containers_do_not_run_as_root() -> None:
    stages: dict[str, list[str]] = {}
    for line in (ROOT / "docker" / "Dockerfile").read_text().splitlines():
        if line.startswith("FROM "):
            stages[line.split(" AS ")[1]] = []
        elif stages:
            stages[list(stages)[-1]].append(line)
    assert all("USER tessera" in stages[target] for target in ("site", "worker"))


def test_the_site_image_carries_no_torch() -> None:
    text = (ROOT / "docker" / "Dockerfile").read_text()
    assert "FROM site-packages AS site" in text
    assert "torch.txt" not in text.split("FROM site-packages AS worker-packages")[0]


def test_the_gpu_file_only_adds_to_the_workers(services: dict[str, Any]) -> None:
    added = as_compose_reads("docker-compose.gpu.yml")["services"]
    assert set(added) == {"worker-text", "worker-image"} <= set(services)
    for service in added.values():
        (device,) = service["deploy"]["resources"]["reservations"]["devices"]
        assert device["capabilities"] == ["gpu"]
