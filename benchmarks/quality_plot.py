"""The plot of an evaluation: each contestant with its interval, on all requests and new places."""

from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "placestream"  # the same run draws the same bytes

from matplotlib import pyplot as plt  # noqa: E402  # the back end is chosen before

from models.quality.metrics import NDCG  # noqa: E402
from placestream.evaluation.next_place import Outcome  # noqa: E402

PANELS = (
    ("all", NDCG, "all requests: NDCG@10"),
    ("discover", "recall_at_20", "places new to the user: Recall@20"),
)
_OURS, _OTHERS = "#c2410c", "#475569"


def draw(outcome: Outcome, path: Path) -> None:
    """Write the plot, streamed figures with their 95 % intervals, as SVG."""
    found = [(j, outcome.verdict.figures(j, "stream")) for j in reversed(outcome.judged)]
    panels = [panel for panel in PANELS if all(panel[0] in slices for _, slices in found)]
    figure, axes = plt.subplots(
        1, len(panels), figsize=(5 * len(panels), 0.6 + 0.32 * len(found)), squeeze=False
    )
    for axis, (part, metric, title) in zip(axes[0], panels, strict=True):
        for y, (judged, slices) in enumerate(found):
            interval = slices[part][metric]
            colour = _OURS if judged.ours else _OTHERS
            axis.plot([interval.low, interval.high], [y, y], color=colour, linewidth=2)
            axis.plot([interval.value], [y], "o", color=colour, markersize=5)
        _dress(axis, title, [judged.name for judged, _ in found])
    for axis in axes[0][1:]:
        axis.set_yticklabels([])
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)


def _dress(axis: Any, title: str, names: list[str]) -> None:
    axis.set_title(title, fontsize=10)
    axis.set_yticks(range(len(names)), names)
    axis.set_xlim(left=0)
    axis.grid(axis="x", alpha=0.3)
    for side in ("top", "right", "left"):
        axis.spines[side].set_visible(False)
