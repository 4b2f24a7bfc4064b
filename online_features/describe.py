"""Writes the table of all features into docs/features.md: `python -m online_features.describe`."""

from pathlib import Path

import numpy as np

from contracts.events import EVENT_TYPES
from online_features.definitions import ANY, PLACE, USER
from online_features.feature_set import Feature, FeatureSet

PAGE = Path(__file__).parents[1] / "docs" / "features.md"
BEGIN, END = "<!-- features: begin -->\n", "<!-- features: end -->\n"
#: More columns than this are told by the first and the last.
COLUMNS_TOLD = 6


def table(features: FeatureSet) -> str:
    """One row a feature, in Markdown: what moves it, what is kept, its columns and its bytes."""
    lines = [
        "| feature | events | kept | columns | bytes |",
        "| --- | --- | --- | --- | ---: |",
        *(_row(feature, features) for feature in features.features),
    ]
    extra = features.dtype.itemsize - sum(_size(f, features) for f in features.features)
    if extra:
        lines.append(f"| (to tell duplicates) | all | hashes of the last 16 events | | {extra} |")
    lines.append(f"| **all** | | | {len(features.columns)} columns | {features.dtype.itemsize} |")
    return "\n".join(lines) + "\n"


def written(page: str) -> str:
    """The page with the tables of the definitions between its marks."""
    head, rest = page.split(BEGIN)
    tail = rest.split(END)[1]
    tables = f"### Of a user\n\n{table(USER)}\n### Of a place\n\n{table(PLACE)}"
    return f"{head}{BEGIN}{tables}{END}{tail}"


def _row(feature: Feature, features: FeatureSet) -> str:
    on = "all" if feature.on == ANY else ", ".join(EVENT_TYPES[kind] for kind in sorted(feature.on))
    cells = (f"`{feature.name}`", on, _kept(feature), _columns(feature))
    return f"| {' | '.join(cells)} | {_size(feature, features)} |"


def _kept(feature: Feature) -> str:
    """The aggregation and its windows, each with the width of its tiles."""
    kind = type(feature.aggregation).__name__
    rings = getattr(feature.aggregation, "windows", None)
    if rings is None:
        ring = getattr(feature.aggregation, "ring", None)
        rings = () if ring is None else (ring,)
    windows = [f"{'+'.join(s.name for s in r.spans)} by {_width(r.width_s)}" for r in rings]
    return f"{kind}: {', '.join(windows)}" if windows else kind


def _width(seconds: int) -> str:
    for unit, width_s in (("d", 86_400), ("h", 3_600)):
        if seconds % width_s == 0:
            return f"{seconds // width_s} {unit}"
    return f"{seconds // 60} min"


def _columns(feature: Feature) -> str:
    names = [f"`{column}`" for column in feature.columns]
    if len(names) > COLUMNS_TOLD:
        return f"{names[0]} to {names[-1]}"
    return ", ".join(names) or "(read as a history)"


def _size(feature: Feature, features: FeatureSet) -> int:
    dtype: np.dtype[np.void] = features.dtype[feature.name]
    return dtype.itemsize


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
