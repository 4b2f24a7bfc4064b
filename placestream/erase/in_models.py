"""Which exported models hold something of single persons, as their cards tell.

A card that does not tell is of an export whose warm-up records may name a person, too (the code
that writes the field makes them about nobody).
"""

import json
from dataclasses import dataclass
from pathlib import Path

from models.served_columns import CARD

#: What every SavedModel has.
GRAPH = "saved_model.pb"


@dataclass(frozen=True)
class InModels:
    """Exported models under a folder, by their paths there: versions, copies in MLflow's files,
    and what a killed trainer left.

    Attributes:
        folder: that was looked at.
        knowing: models with a row for each of some persons, and for how many.
        silent: models whose card does not say so, or cannot be read.
        others: number of models that know nobody.
    """

    folder: str
    knowing: dict[str, int]
    silent: tuple[str, ...]
    others: int

    @classmethod
    def under(cls, models_dir: Path) -> "InModels":
        """Look at all models of a folder; there need not be one."""
        knowing: dict[str, int] = {}
        silent: list[str] = []
        others = 0
        for graph in sorted(models_dir.rglob(GRAPH)):
            name = str(graph.parent.relative_to(models_dir))
            known = _users_known(graph.parent)
            if known is None:
                silent.append(name)
            elif known:
                knowing[name] = known
            else:
                others += 1
        return cls(str(models_dir), knowing, tuple(silent), others)


def _users_known(directory: Path) -> int | None:
    try:
        return int(json.loads((directory / CARD).read_text())["users_known"])
    except (OSError, ValueError, KeyError, TypeError):
        return None
