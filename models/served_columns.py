"""Which columns an exported ranker was asked with, by the card beside its graph; no TensorFlow."""

import json
from pathlib import Path

#: Beside a model's graph, where TensorFlow Serving looks for extra files.
CARD = Path("assets.extra") / "placestream.json"


def served_columns(models_dir: Path, version: int) -> tuple[str, ...] | None:
    """Names of the ranker's columns, in order; `None` where that version has no readable card."""
    try:
        card = json.loads((models_dir / "ranker" / str(version) / CARD).read_text())
        return tuple(card["columns"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
