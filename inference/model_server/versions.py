"""Which versions of a model lie on disk, and which of them are to be served.

Source: file_system_storage_path_source.cc.
"""

from pathlib import Path
from typing import Final

from inference.model_server.config import ModelConfig
from inference.model_server.saved_model import graph_file

_MOST: Final = 2**63 - 1


def versions_on_disk(base_path: Path) -> dict[int, Path]:
    """Find the complete versions under a model's base path.

    A version is a directory with a plain number for its name. TensorFlow writes `saved_model.pb`
    (or `saved_model.pbtxt`) last, so a directory without it is still being written and does not
    count.

    Raises:
        FileNotFoundError: the base path does not exist. Not the same as no versions: an
            unreachable disk must not unload what is served.
    """
    found: dict[int, Path] = {}
    # Sorted, so that of "01" and "1" the latter wins, as in the real server.
    for child in sorted(base_path.iterdir()):
        name = child.name
        if not (name.isascii() and name.isdigit()) or int(name) > _MOST:
            continue
        if graph_file(child) is not None:
            found[int(name)] = child
    return found


def aspired_versions(model: ModelConfig, found: dict[int, Path]) -> dict[int, Path]:
    """Choose the versions to serve by the model's policy; without one, the latest."""
    policy = model.model_version_policy
    choice = policy.WhichOneof("policy_choice")
    if choice == "all":
        return dict(found)
    if choice == "specific":
        return {version: found[version] for version in policy.specific.versions if version in found}
    newest = sorted(found, reverse=True)[: max(policy.latest.num_versions, 1)]
    return {version: found[version] for version in newest}


def missing_versions(model: ModelConfig, found: dict[int, Path]) -> list[int]:
    """Versions that a `specific` policy names and the disk does not have."""
    return sorted(set(model.model_version_policy.specific.versions) - set(found))
