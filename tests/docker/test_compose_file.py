"""docker-compose.yml by itself: the specification's schema, a linter, and what we ask beyond."""

import importlib.metadata
import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from tests.docker.project import COMPOSE, ROOT, built, compose, env_file, services, variables

#: Where a file system cannot be read-only, and why stands in the compose file.
WRITABLE = {"kafka"}
SECRETS = ("REDIS_PASSWORD", "CONSOLE_TOKEN", "GRAFANA_ADMIN_PASSWORD")
#: Ends by itself; nobody asks how it is.
ONE_SHOT = {"models-init", "simulate"}
#: What compose-lint may say. CL-0019: no digest beside the tag (images are not pulled here, so
#: their digests are not known). CL-0007: a writable file system, see WRITABLE.
KNOWN_FINDINGS = {("CL-0007", "kafka"), *(("CL-0019", name) for name in services())}


def vendored_schema() -> dict[str, object]:
    """The Compose specification's schema, as the package check-jsonschema carries it.

    Found without importing the package, whose command needs a newer click than Faust allows.
    """
    files = importlib.metadata.files("check-jsonschema") or []
    (path,) = [file for file in files if file.name == "compose-spec.json"]
    schema: dict[str, object] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def faults(document: object) -> list[str]:
    """What the schema has against a document."""
    schema = vendored_schema()
    validator = jsonschema.validators.validator_for(schema)(schema)
    return [error.message for error in validator.iter_errors(document)]


def test_the_schema_accepts_the_file() -> None:
    """The file is valid by the Compose specification."""
    assert faults(compose()) == []


def test_the_schema_is_strict() -> None:
    """A mistyped key is found, so that the test above can fail."""
    assert faults({"services": {"a": {"image": "b:1", "healtcheck": {}}}}) != []


def test_the_linter_finds_nothing_new() -> None:
    """compose-lint (OWASP's and CIS' rules) says only what is known and answered for."""
    command = [str(Path(sys.executable).with_name("compose-lint")), "check", "--format", "json"]
    answer = subprocess.run([*command, str(COMPOSE)], capture_output=True, text=True, check=False)
    report = json.loads(answer.stdout)
    assert report["errors"] == []
    assert {(f["rule_id"], f["service"]) for f in report["findings"]} <= KNOWN_FINDINGS


@pytest.mark.parametrize("name", services())
def test_image_is_pinned(name: str) -> None:
    """Every image has a full version as its tag."""
    image = re.sub(r"\$\{IMAGE_TAG:-(.*)\}", r"\1", services()[name]["image"])
    assert re.fullmatch(r"[\w./-]+:v?\d+\.\d+\.\d+(-[\w.]+)?", image)


@pytest.mark.parametrize("name", services())
def test_container_is_hardened(name: str) -> None:
    """No capability, no way to gain one, no writing outside of volumes, limits on everything."""
    service = services()[name]
    assert service["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in service["security_opt"]
    assert service["read_only"] is (name not in WRITABLE)
    assert set(service["deploy"]["resources"]["limits"]) == {"cpus", "memory", "pids"}
    assert "privileged" not in service


@pytest.mark.parametrize("name", services())
def test_container_is_not_root(name: str) -> None:
    """A user is named here, or the image is built here and names one (test_image.py)."""
    user = services()[name].get("user")
    if name in built():
        assert user is None
    else:
        assert user is not None
        assert str(user).split(":")[0] not in ("root", "0")


@pytest.mark.parametrize("name", services())
def test_container_restarts_and_is_watched(name: str) -> None:
    """What lasts is asked how it is and started again; what ends by itself is neither."""
    service = services()[name]
    check = service["healthcheck"]
    if name in ONE_SHOT:
        assert service["restart"] == "no"
        assert check == {"disable": True}
    else:
        assert service["restart"] == "unless-stopped"
        assert check["test"][0] in ("CMD", "CMD-SHELL")
        assert {"interval", "timeout", "retries", "start_period", "start_interval"} <= set(check)


@pytest.mark.parametrize("name", services())
def test_start_order_can_be_met(name: str) -> None:
    """A dependency exists, and can reach the condition that is waited for."""
    for other, how in services()[name].get("depends_on", {}).items():
        if how["condition"] == "service_completed_successfully":
            assert other in ONE_SHOT
        else:
            assert how["condition"] == "service_healthy"
            assert other not in ONE_SHOT
            assert "profiles" not in services()[other]


def test_start_order_has_no_circle() -> None:
    """Services can be put into an order in which each comes after what it waits for."""
    waits = {name: set(s.get("depends_on", {})) for name, s in services().items()}
    while ready := {name for name, others in waits.items() if not others}:
        waits = {name: others - ready for name, others in waits.items() if name not in ready}
    assert waits == {}


def mounts(name: str) -> list[tuple[str, str, bool]]:
    """Source, target and whether it is read-only, of each mount of a service."""
    found = []
    for mount in services()[name].get("volumes", []):
        if isinstance(mount, dict):
            found.append((mount["source"], mount["target"], mount.get("read_only", False)))
        else:
            source, target, *mode = mount.split(":")
            found.append((source, target, mode == ["ro"]))
    return found


@pytest.mark.parametrize("name", services())
def test_mounts_exist(name: str) -> None:
    """A mounted path is in the repository and read-only; a mounted volume is declared."""
    for source, _, read_only in mounts(name):
        if source.startswith("./"):
            assert (ROOT / source).exists()
            assert read_only
        else:
            assert source in compose()["volumes"]


def test_every_volume_is_used() -> None:
    """No volume is declared that nothing is kept in."""
    used = {source for name in services() for source, _, _ in mounts(name)}
    assert set(compose()["volumes"]) <= used


@pytest.mark.parametrize("name", services())
def test_networks_exist_and_only_published_services_leave(name: str) -> None:
    """Whoever is on the outside network publishes a port there; all others stay inside."""
    service = services()[name]
    networks = set(service.get("networks", []))
    assert networks <= set(compose()["networks"])
    assert bool(networks) is (service.get("network_mode") != "none")
    assert ("outside" in networks) is ("ports" in service)


def test_the_inside_is_inside() -> None:
    """The network of stores and secrets has no way out."""
    assert compose()["networks"]["inside"] == {"internal": True}


@pytest.mark.parametrize("name", services())
def test_ports_are_opened_where_the_operator_says(name: str) -> None:
    """A port is bound to BIND_ADDRESS, which is this machine alone unless it is set."""
    for port in services()[name].get("ports", []):
        assert re.fullmatch(r"\$\{BIND_ADDRESS:-127\.0\.0\.1\}:(\d+):\1", port)


def test_variables_are_explained() -> None:
    """.env.example lists exactly the variables that the file reads; secrets have no value in it."""
    example = env_file(ROOT / ".env.example")
    assert set(example) == variables(COMPOSE.read_text(encoding="utf-8"))
    empty = {name for name, value in example.items() if not value}
    assert empty == {*SECRETS, "RUNBOOKS_URL"}


def test_secrets_must_be_given() -> None:
    """A secret has no default: without it the file is refused, with a word on where to set it."""
    text = COMPOSE.read_text(encoding="utf-8")
    for name in SECRETS:
        uses = re.findall(rf"\$\{{{name}[^}}]*\}}", text)
        assert uses
        assert set(uses) == {f"${{{name}:?set {name} in .env}}"}


def test_nobody_gets_a_secret_that_is_not_his() -> None:
    """Grafana's password and the console's token reach these alone; Redis' Redis and the roles."""
    holders = {
        secret: {
            name
            for name, service in services().items()
            if secret in variables(json.dumps(service.get("environment", {})))
        }
        for secret in SECRETS
    }
    assert holders == {
        "REDIS_PASSWORD": {"redis", "stream", "serve", "retrain", "console", "simulate"},
        "CONSOLE_TOKEN": {"console"},
        "GRAFANA_ADMIN_PASSWORD": {"grafana"},
    }
