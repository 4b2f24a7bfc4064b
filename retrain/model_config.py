"""What the model server is told to serve: TF Serving's ModelServerConfig, as text in a file."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from google.protobuf import text_format
from tensorflow_serving.config.model_server_config_pb2 import ModelServerConfig

from contracts.settings import Settings

#: Both stages are one pair: always the same versions, under the same labels.
MODELS = ("candidates", "ranker")
_HEADER = "# Written by placestream's rollout; changed by hand, it is overwritten.\n"


class DamagedConfig(ValueError):
    """The file is not a ModelServerConfig, or its two models differ: a person has to look at it."""


@dataclass(frozen=True)
class Serving:
    """What is loaded, and which label points where; alike for both models.

    Attributes:
        labels: label to version.
        beside: versions that are loaded without a label.
    """

    labels: Mapping[str, int] = field(default_factory=dict)
    beside: frozenset[int] = frozenset()

    @property
    def versions(self) -> tuple[int, ...]:
        """Versions to be loaded, ascending."""
        return tuple(sorted({*self.labels.values(), *self.beside}))

    def message(self, settings: Settings) -> ModelServerConfig:
        """The configuration to this effect; paths as the model server sees them."""
        root = settings.models_base_path or settings.models_dir.absolute()
        config = ModelServerConfig()
        config.model_config_list.SetInParent()
        for name in MODELS if self.versions else ():
            model = config.model_config_list.config.add(
                name=name, base_path=str(root / name), model_platform="tensorflow"
            )
            model.model_version_policy.specific.versions.extend(self.versions)
            for label, version in sorted(self.labels.items()):
                model.version_labels[label] = version
        return config


def _no_guard() -> None:
    pass


def write(settings: Settings, serving: Serving, guard: Callable[[], None] = _no_guard) -> None:
    """Replace the file atomically: a reader sees the old or the new, and so does a crash.

    Args:
        settings: where the file is.
        serving: what it is to say.
        guard: asked when all but the renaming is done, which may take seconds on a busy disk; what
            it raises leaves the file as it is. A process that was frozen until its lease had passed
            on thus does not write over what its successor wrote.
    """
    path = settings.model_config_file
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with new.open("w") as file:
            file.write(_HEADER + text_format.MessageToString(serving.message(settings)))
            file.flush()
            os.fsync(file.fileno())
        guard()
        new.replace(path)
    finally:
        new.unlink(missing_ok=True)


def read(settings: Settings) -> Serving:
    """What the file says; nothing if there is none.

    Raises:
        DamagedConfig: it is not a ModelServerConfig, or its two models differ.
    """
    try:
        text = settings.model_config_file.read_text()
    except FileNotFoundError:
        return Serving()
    config = ModelServerConfig()
    try:
        text_format.Parse(text, config)
    except text_format.ParseError as error:
        raise DamagedConfig(f"{settings.model_config_file}: {error}") from error
    found = {m.name: _serving(m) for m in config.model_config_list.config if m.name in MODELS}
    if not found:
        return Serving()
    if set(found) != set(MODELS) or found[MODELS[0]] != found[MODELS[1]]:
        raise DamagedConfig(f"{settings.model_config_file}: {MODELS} are not served as one pair")
    return found[MODELS[0]]


def _serving(model: Any) -> Serving:
    labels = dict(model.version_labels)
    versions = frozenset(model.model_version_policy.specific.versions)
    return Serving(labels, versions - frozenset(labels.values()))
