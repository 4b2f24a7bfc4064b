"""docker-compose.yml beside the code: commands, settings, ports, paths and versions agree."""

import importlib.metadata
import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest
import typer.main
import yaml
from confluent_kafka.admin import AdminClient

from contracts.settings import Settings
from placestream.console.metrics_pages import addresses
from tests.docker.project import (
    MLFLOW_DOCKERFILE,
    ROOT,
    env_file,
    environment,
    instructions,
    ours,
    services,
    words,
)

SECRETS = {
    "REDIS_PASSWORD": "redis-password",
    "CONSOLE_TOKEN": "console-token",
    "GRAFANA_ADMIN_PASSWORD": "grafana-password",
}
ROLES = ("stream", "serve", "retrain", "console", "simulate")
PREFIX = "PLACESTREAM_"


@pytest.fixture
def clean(monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> pytest.MonkeyPatch:
    """No setting from outside, and no .env in the current directory."""
    for name in Settings.model_fields:
        monkeypatch.delenv(PREFIX + name.upper(), raising=False)
    monkeypatch.chdir(tmp_path)
    return monkeypatch


def role_settings(role: str, monkeypatch: pytest.MonkeyPatch) -> Settings:
    """The settings that a role reads inside its container."""
    for name, value in environment(role, SECRETS).items():
        monkeypatch.setenv(name, value)
    return Settings()


@pytest.mark.parametrize("role", ROLES)
def test_command_exists(role: str) -> None:
    """The command of a role is a subcommand, and its options are understood."""
    from placestream.cli import app

    commands: Any = typer.main.get_command(app)
    name, *arguments = words(services()[role]["command"])
    command = commands.commands[name]
    context = command.make_context(name, arguments)
    assert context.params.keys() == {option.name for option in command.params} - {"help"}


def test_settings_are_settings() -> None:
    """Every PLACESTREAM_ variable in a file or a service is one of the settings."""
    given = set(env_file(ROOT / "docker" / "settings.env"))
    given |= {name for role in ROLES for name in services()[role]["environment"]}
    known = {PREFIX + name.upper() for name in Settings.model_fields}
    assert {name for name in given if name.startswith(PREFIX)} == given
    assert given <= known


@pytest.mark.parametrize("role", ROLES)
def test_settings_are_read(role: str, clean: pytest.MonkeyPatch) -> None:
    """The environment of a role is accepted, and points at the other services."""
    settings = role_settings(role, clean)
    redis_url = settings.redis_url.get_secret_value()
    addresses = (settings.kafka_bootstrap, settings.model_server, redis_url.rpartition("@")[2])
    hosts = {re.split("[:/]", address)[0] for address in addresses}
    assert hosts == {"kafka", "tf-serving", "redis"}
    assert SECRETS["REDIS_PASSWORD"] in redis_url


def test_ports_agree(clean: pytest.MonkeyPatch) -> None:
    """Ports in settings, image, compose file, health checks and Prometheus are the same."""
    settings = role_settings("serve", clean)
    metrics = {
        "stream": settings.stream_metrics_port,
        "serve": settings.serve_metrics_port,
        "retrain": settings.retrain_metrics_port,
    }
    exposed = {int(p) for word, rest in instructions() if word == "EXPOSE" for p in rest.split()}
    assert exposed == {settings.serve_port, settings.console_port, *metrics.values()}
    for role in ("stream", "retrain"):
        assert services()[role]["healthcheck"]["test"][-1] == (
            f"http://127.0.0.1:{metrics[role]}/metrics"
        )
    assert services()["serve"]["healthcheck"]["test"][-1] == f"127.0.0.1:{settings.serve_port}"
    assert services()["serve"]["ports"][0].endswith(f":{settings.serve_port}")

    config = yaml.safe_load((ROOT / "docker/prometheus/prometheus.yml").read_text())
    found = {
        name: dns["port"]
        for job in config["scrape_configs"]
        for dns in job.get("dns_sd_configs", [])
        for name in dns["names"]
    }
    assert found == metrics | {"tf-serving": 8501}


def test_the_console_finds_every_part(clean: pytest.MonkeyPatch) -> None:
    """It listens where its port is published from, and asks the roles by their names."""
    settings = role_settings("console", clean)
    service = services()["console"]
    assert settings.console_host == "0.0.0.0"
    assert service["ports"][0].endswith(f":{settings.console_port}")
    assert service["healthcheck"]["test"][-1] == (
        f"http://127.0.0.1:{settings.console_port}/healthz"
    )
    ports = {
        "stream": settings.stream_metrics_port,
        "serve": settings.serve_metrics_port,
        "retrain": settings.retrain_metrics_port,
    }
    assert addresses(settings) == [
        (role, f"http://{role}:{port}/metrics") for role, port in ports.items()
    ]
    assert settings.serve_host in services()
    assert settings.console_token.get_secret_value() == SECRETS["CONSOLE_TOKEN"]
    assert f"models:{settings.models_dir}" in service["volumes"]


def test_model_server_sees_what_the_trainer_writes(clean: pytest.MonkeyPatch) -> None:
    """Models and their configuration lie on one volume, at one path, for both."""
    settings = role_settings("retrain", clean)
    models = str(settings.models_dir)
    server = services()["tf-serving"]
    mount = next(m for m in server["volumes"] if isinstance(m, dict))
    assert (mount["source"], mount["target"]) == ("models", models)
    assert f"models:{models}" in services()["retrain"]["volumes"]
    assert settings.models_base_path is None
    assert f"--model_config_file={settings.model_config_file}" in server["command"]
    assert services()["models-init"]["command"] == [str(settings.model_config_file)]
    host, port = settings.model_server.split(":")
    assert host == "tf-serving"
    assert f"--port={port}" in server["command"]
    assert f"--rest_api_port={settings.model_server_rest_port}" in server["command"]


def test_trainer_reads_what_the_stream_archives(clean: pytest.MonkeyPatch) -> None:
    """The archive is one volume, at one path; only the stream writes."""
    archive = str(role_settings("retrain", clean).archive_dir)
    assert services()["stream"]["volumes"] == [f"archive:{archive}"]
    assert f"archive:{archive}:ro" in services()["retrain"]["volumes"]


def test_topics_are_declared_by_the_roles(clean: pytest.MonkeyPatch) -> None:
    """The broker makes no topic by itself, and the roles declare theirs for a single broker."""
    settings = role_settings("stream", clean)
    assert settings.kafka_declares_topics
    assert settings.replication == 1
    assert services()["kafka"]["environment"]["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"


def test_clients_accept_the_settings(clean: pytest.MonkeyPatch) -> None:
    """librdkafka and redis-py take the addresses that the roles are given."""
    import redis

    from contracts.kafka import client_config

    settings = role_settings("stream", clean)
    AdminClient(client_config(settings) | {"log_level": 0})
    url = settings.redis_url.get_secret_value()
    with redis.Redis.from_url(url) as client:
        kwargs = client.connection_pool.connection_kwargs
    assert (kwargs["host"], kwargs["port"], kwargs["password"]) == (
        "redis",
        6379,
        SECRETS["REDIS_PASSWORD"],
    )


def test_third_parties_are_the_tested_ones() -> None:
    """Kafka is the version that tests run; TensorFlow Serving is of the TensorFlow that exports."""
    tags = {name: services()[name]["image"].rpartition(":")[2] for name in services()}
    pom = ET.parse(ROOT / "placestream/stack/kafka-pom.xml").getroot()
    space = {"m": "http://maven.apache.org/POM/4.0.0"}
    kafka = next(
        d.findtext("m:version", namespaces=space)
        for d in pom.iterfind(".//m:dependency", space)
        if d.findtext("m:artifactId", namespaces=space) == "kafka_2.13"
    )
    assert tags["kafka"] == kafka
    assert tags["tf-serving"] == importlib.metadata.version("tensorflow-serving-api")
    minor = importlib.metadata.version("tensorflow").rpartition(".")[0]
    assert tags["tf-serving"].rpartition(".")[0] == minor


def test_trainings_are_tracked_where_mlflow_listens(clean: pytest.MonkeyPatch) -> None:
    """The roles' address of MLflow is one that it answers to, and it is as new as their client."""
    service = services()["mlflow"]
    address = role_settings("retrain", clean).mlflow_uri.removeprefix("http://")
    assert address == "mlflow:5000"
    hosts = next(w for w in service["command"] if w.startswith("--allowed-hosts="))
    assert address in hosts.partition("=")[2].split(",")
    assert "--port=5000" in service["command"]
    assert service["ports"][0].endswith(":5000")
    assert ("EXPOSE", "5000") in instructions(of=MLFLOW_DOCKERFILE)
    assert service["healthcheck"]["test"][-1] == "http://127.0.0.1:5000/health"
    version = importlib.metadata.version("mlflow-skinny")
    assert service["image"] == f"placestream-mlflow:{version}"
    pins = (ROOT / "docker/mlflow/constraints.txt").read_text(encoding="utf-8").splitlines()
    assert {f"mlflow=={version}", f"mlflow-skinny=={version}"} <= set(pins)


def test_our_image_carries_our_version() -> None:
    """The default tag is the version of the package."""
    version = importlib.metadata.version("placestream")
    assert env_file(ROOT / ".env.example")["IMAGE_TAG"] == version
    assert {s["image"] for s in ours().values()} == {f"placestream:${{IMAGE_TAG:-{version}}}"}


def test_redis_keeps_room_for_rewriting_its_log() -> None:
    """Redis refuses writes well before its container would be killed for memory."""
    config = (ROOT / "docker/redis/redis.conf").read_text()
    (most_mb,) = re.findall(r"^maxmemory (\d+)mb$", config, flags=re.MULTILINE)
    limit = services()["redis"]["deploy"]["resources"]["limits"]["memory"]
    assert int(most_mb) * 1.5 <= int(limit.removesuffix("g")) * 1024
