"""Settings as the environment of another process, and as lines for a shell."""

import shlex
from pathlib import Path
from typing import Any

from pydantic import SecretStr

from contracts.settings import Settings


def environment(settings: Settings) -> dict[str, str]:
    """Return the variables that make another process see these settings.

    Secrets are in it in the clear, as they must be; a setting that is None is left out.
    """
    prefix = str(settings.model_config["env_prefix"])
    values = {name: getattr(settings, name) for name in type(settings).model_fields}
    return {
        f"{prefix}{name.upper()}": _text(value)
        for name, value in values.items()
        if value is not None
    }


def write_shell_file(settings: Settings, file: Path) -> None:
    """Write lines that a shell can read (`. FILE`); only the owner may read it."""
    lines = (f"export {name}={shlex.quote(text)}" for name, text in environment(settings).items())
    file.touch(mode=0o600)
    file.write_text("\n".join(lines) + "\n")


def _text(value: Any) -> str:
    if isinstance(value, SecretStr):
        return value.get_secret_value()
    return str(value.absolute()) if isinstance(value, Path) else str(value)
