"""What an exported pair was asked with, and tells, by the card beside its graphs; no TensorFlow."""

import json
from pathlib import Path
from typing import Any

#: Beside a model's graph, where TensorFlow Serving looks for extra files.
CARD = Path("assets.extra") / "placestream.json"


def served_columns(models_dir: Path, version: int) -> tuple[str, ...] | None:
    """Names of the ranker's columns, in order; `None` where that version has no readable card."""
    try:
        return tuple(_card(models_dir, "ranker", version)["columns"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def served_parts(models_dir: Path, version: int) -> tuple[tuple[str, ...], float] | None:
    """Names of what the candidate model tells of places, and what time it knows up to (Unix s).

    `None` where that version has no readable card, or one from before parts were named there.
    """
    try:
        card = _card(models_dir, "candidates", version)
        return tuple(card["parts"]), float(card["data"]["last_s"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _card(models_dir: Path, model: str, version: int) -> dict[str, Any]:
    card: dict[str, Any] = json.loads((models_dir / model / str(version) / CARD).read_text())
    return card
