"""`ModelServerConfig`: reading its text, and what the server refuses in it (server_core.cc)."""

from collections.abc import Iterable
from pathlib import Path
from typing import Any, Final

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from inference.model_server.errors import invalid_argument

PLATFORM: Final = "tensorflow"

ModelConfig = Any
"""A `tensorflow.serving.ModelConfig`: name, base_path, version policy, version labels."""


class BadConfigFile(ValueError):
    """The configuration file cannot be read; names the file and the place in it."""


def read_config(path: Path) -> Any:
    """Read a `ModelServerConfig` from its text form.

    Raises:
        FileNotFoundError: there is no such file (yet).
        BadConfigFile: the file is not a ModelServerConfig.
    """
    try:
        text = path.read_text(encoding="utf-8")
        config = text_format.Parse(text, model_server_config_pb2.ModelServerConfig())
    except (UnicodeDecodeError, text_format.ParseError) as error:
        raise BadConfigFile(f"{path} is not a ModelServerConfig: {error}") from error
    if config.HasField("custom_model_config"):
        raise BadConfigFile(f"{path} has a custom_model_config; only model_config_list is served")
    return config


def check_config(models: Iterable[ModelConfig], current: Iterable[ModelConfig]) -> None:
    """Refuse what the real server refuses, in its words and order.

    Args:
        models: the models of the new configuration.
        current: the models of the configuration in force.

    Raises:
        ServingError: INVALID_ARGUMENT; a name twice, a relative path, or a bad platform.
    """
    models = list(models)
    seen: set[str] = set()
    for model in models:
        if model.name in seen:
            raise invalid_argument(
                f"Illegal to list model {model.name} multiple times in config list"
            )
        seen.add(model.name)
    for model in models:
        if not model.base_path.startswith("/"):
            raise invalid_argument(
                f"Expected model {model.name} to have an absolute path or URI; "
                f"got base_path()={model.base_path}"
            )
    platforms = {model.name: _platform(model) for model in current}
    for model in models:
        platform = _platform(model)
        before = platforms.get(model.name, platform)
        if platform != before:
            raise invalid_argument(
                f"Illegal to change a model's platform. For model {model.name} platform was "
                f"{before} and new platform requested is {platform}"
            )
    for model in models:
        if _platform(model) != PLATFORM:
            raise invalid_argument(
                f"Model {model.name} requests unsupported platform {_platform(model)}"
            )


def _platform(model: ModelConfig) -> str:
    """The model's platform; `model_type` is its deprecated spelling."""
    if model.model_type:
        if model.model_platform:
            raise invalid_argument(
                "Illegal setting both ModelServerConfig::model_type (deprecated) and "
                f"ModelServerConfig::model_platform, model name is {model.name}"
            )
        if model.model_type != model_server_config_pb2.TENSORFLOW:
            raise invalid_argument(
                f"ModelServerConfig::model_type choice {model.model_type} not supported."
            )
        return PLATFORM
    if not model.model_platform:
        raise invalid_argument(
            "Illegal setting neither ModelServerConfig::model_type (deprecated) nor "
            f"ModelServerConfig::model_platform, model name is {model.name}"
        )
    return str(model.model_platform)
