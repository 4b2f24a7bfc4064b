"""What an erasure's proof says of exported models, by the cards that lie beside them.

tests/models/test_export.py holds the cards of real exports to it.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from contracts.settings import Settings
from models.served_columns import CARD
from placestream.erase.in_models import GRAPH, InModels
from placestream.erase.remains import remains

NOW = datetime(2026, 11, 28, tzinfo=UTC)


def exported(directory: Path, card: dict[str, Any] | str | None) -> None:
    """A model with such a card."""
    (directory / CARD).parent.mkdir(parents=True)
    (directory / GRAPH).write_bytes(b"a graph")
    if card is not None:
        text = card if isinstance(card, str) else json.dumps(card)
        (directory / CARD).write_text(text)


def of_models(models_dir: Path, **more: Any) -> str:
    """The line of the proof."""
    settings = Settings(_env_file=None, models_dir=models_dir, **more)
    told = dict(remains(settings, NOW, {}, InModels.under(models_dir)))
    return told["models"]


def test_each_model_that_knows_persons_is_named(tmp_path: Path) -> None:
    """Also a copy in MLflow's files and half an export; with their number, and what to do."""
    exported(tmp_path / "candidates" / "3", {"users_known": 0})
    exported(tmp_path / "ranker" / "3", {"users_known": 12})
    exported(tmp_path / "mlflow" / "artifacts" / "1" / "ranker", {"users_known": 12})
    exported(tmp_path / ".export-x" / "ranker", {"users_known": 7})
    found = InModels.under(tmp_path)
    assert found.knowing == {
        "ranker/3": 12,
        "mlflow/artifacts/1/ranker": 12,
        ".export-x/ranker": 7,
    }
    assert (found.silent, found.others) == ((), 1)
    said = of_models(tmp_path)
    assert "ranker/3 (12 persons)" in said
    assert "placestream retrain --now erasure" in said
    assert "delete their folders" in said
    assert "nothing of single persons" not in said


def test_a_card_that_does_not_say_is_not_believed(tmp_path: Path) -> None:
    """Exports from before the field, damaged cards and lost ones may hold something."""
    cards: list[dict[str, Any] | str | None] = [
        {"columns": []},
        "no JSON",
        "[]",
        {"users_known": None},
        None,
    ]
    for version, card in enumerate(cards):
        exported(tmp_path / "ranker" / str(version), card)
    exported(tmp_path / "ranker" / "9", {"users_known": 0})
    found = InModels.under(tmp_path)
    assert found.silent == tuple(f"ranker/{version}" for version in range(len(cards)))
    assert (found.knowing, found.others) == ({}, 1)
    said = of_models(tmp_path)
    assert "perhaps something of single persons" in said
    assert "ranker/4" in said
    assert "ranker/9" not in said


def test_where_no_card_speaks_of_persons_nothing_is_to_be_done(tmp_path: Path) -> None:
    """Of a tracking server the proof says that its copies were not looked at."""
    exported(tmp_path / "ranker" / "1", {"users_known": 0})
    said = of_models(tmp_path)
    assert "nothing of single persons" in said
    assert "delete" not in said
    assert "MLflow" not in said
    assert "MLflow were not looked at" in of_models(tmp_path, mlflow_uri="http://mlflow:5000")


def test_where_there_are_no_models_it_says_so(tmp_path: Path) -> None:
    """The erasure may run where they are not."""
    said = of_models(tmp_path / "nowhere")
    assert f"none in {tmp_path / 'nowhere'}" in said
    assert "nothing of single persons" not in said
