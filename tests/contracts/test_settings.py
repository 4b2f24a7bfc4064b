"""Settings: typed, from the environment, bounded."""

from pathlib import Path

import pytest
from pydantic import SecretStr, ValidationError

from contracts.settings import Settings


def test_every_setting_says_what_it_means() -> None:
    """`placestream settings` shows the description."""
    for name, field in Settings.model_fields.items():
        assert field.description, name


def test_every_setting_has_a_default_that_is_valid() -> None:
    """Nothing has to be set to try it out, and a default is held to the bounds too."""
    defaults = {name: field.get_default() for name, field in Settings.model_fields.items()}
    assert Settings(_env_file=None, **defaults) == Settings(_env_file=None)


def test_the_environment_is_read(monkeypatch: pytest.MonkeyPatch) -> None:
    """Numbers, booleans, paths and secrets, each in its own type."""
    monkeypatch.setenv("PLACESTREAM_PARTITIONS", "16")
    monkeypatch.setenv("PLACESTREAM_SERVE_REFLECTION", "false")
    monkeypatch.setenv("PLACESTREAM_ARCHIVE_DIR", "/srv/archive")
    monkeypatch.setenv("PLACESTREAM_KAFKA_PASSWORD", "hunter2")
    settings = Settings(_env_file=None)
    assert settings.partitions == 16
    assert settings.serve_reflection is False
    assert settings.archive_dir == Path("/srv/archive")
    assert settings.kafka_password == SecretStr("hunter2")
    assert settings.topics.interactions.partitions == 16


def test_a_file_is_read_and_the_environment_wins(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`.env` in the current directory, for what differs from one machine to the next."""
    (tmp_path / ".env").write_text("PLACESTREAM_SEED=1\nPLACESTREAM_KEY_PREFIX=file\n")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PLACESTREAM_SEED", "2")
    settings = Settings()
    assert (settings.seed, settings.key_prefix) == (2, "file")


@pytest.mark.parametrize(
    ("name", "value"),
    [("partitions", 0), ("serve_port", -1), ("log_level", "LOUD"), ("radius_m", 0)],
)
def test_a_bad_value_is_named(name: str, value: object) -> None:
    """Out of range or not among the choices."""
    with pytest.raises(ValidationError) as caught:
        Settings.model_validate({name: value})
    assert [fault["loc"] for fault in caught.value.errors()] == [(name,)]


def test_secrets_are_not_in_the_text() -> None:
    """Whoever logs the settings by mistake logs no password."""
    settings = Settings(
        _env_file=None,
        kafka_password=SecretStr("hunter2"),
        redis_url=SecretStr("redis://:hunter2@cache:6379/0"),
    )
    assert "hunter2" not in f"{settings!r} {settings} {settings.model_dump()}"


@pytest.mark.parametrize("url", ["redis://h:6379/1", "unix:///run/redis.sock"])
def test_a_cluster_has_one_database_and_no_socket(url: str) -> None:
    """Neither is passed over in silence: the keys would lie where nobody looks for them."""
    with pytest.raises(ValidationError, match="PLACESTREAM_REDIS_CLUSTER"):
        Settings(_env_file=None, redis_url=SecretStr(url), redis_cluster=True)
    for good in ("redis://h:6379", "rediss://ann:swordfish@h/0"):
        Settings(_env_file=None, redis_url=SecretStr(good), redis_cluster=True)


@pytest.mark.parametrize(
    ("name", "needs"),
    [("redis_ca_file", "rediss://"), ("kafka_certificate_file", "SECURITY_PROTOCOL=SSL")],
)
def test_certificates_without_tls_are_a_mistake(name: str, needs: str) -> None:
    """Whoever names them does not mean plain text."""
    with pytest.raises(ValidationError, match=f"{name.upper()} needs .*{needs}"):
        Settings(_env_file=None, **{name: Path("x.pem")})  # type: ignore[arg-type]
    secure = SecretStr("rediss://h")
    Settings(
        _env_file=None,
        redis_url=secure,
        kafka_security_protocol="SSL",
        **{name: Path("x.pem")},  # type: ignore[arg-type]
    )


def test_settings_do_not_change() -> None:
    """They are handed around; nobody changes them under another's feet."""
    settings = Settings(_env_file=None)
    with pytest.raises(ValidationError):
        settings.partitions = 3  # type: ignore[misc]
