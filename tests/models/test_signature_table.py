"""The page on the models says of each signature what an exported pair takes and gives."""

from pathlib import Path
from typing import Any

import tensorflow as tf

from contracts.signatures import is_mark

PAGE = Path(__file__).parents[2] / "docs" / "models.md"
HEAD = "| model | signature | side | tensor | type | shape |"
#: model, signature, "in" or "out", tensor: its type, and its sizes with -1 for any.
Told = dict[tuple[str, ...], tuple[str, tuple[int, ...]]]


def _written() -> Told:
    lines = PAGE.read_text(encoding="utf-8").splitlines()
    first = next(i for i, line in enumerate(lines) if line.startswith(HEAD)) + 2
    found: Told = {}
    for line in lines[first:]:
        if not line.startswith("|"):
            break
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        sizes = [size.strip() for size in cells[5].strip("[]").split(",")]
        open_or_given = tuple(int(size) if size.isdigit() else -1 for size in sizes)
        found[tuple(cells[:4])] = (cells[4], open_or_given)
    return found


def _sides(model: str, name: str, signature: Any) -> Told:
    takes, gives = signature.structured_input_signature[1], signature.structured_outputs
    return {
        (model, name, side, tensor): (
            spec.dtype.name,
            tuple(-1 if size is None else size for size in spec.shape.as_list()),
        )
        for side, specs in (("in", takes), ("out", gives))
        for tensor, spec in specs.items()
    }


def test_every_signature_is_on_the_page_as_it_is(exported: Path) -> None:
    """None more and none less, but for the mark, which is the default under another name."""
    made: Told = {}
    for model in ("candidates", "ranker"):
        signatures = tf.saved_model.load(str(exported / model / "1")).signatures
        for name in (name for name in signatures if not is_mark(name)):
            made |= _sides(model, name, signatures[name])
    assert _written() == made
