"""The plot of the loop's story: click-through over time, and what the system did meanwhile."""

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "placestream"

import numpy as np  # noqa: E402  # the back end is chosen before
from matplotlib import pyplot as plt  # noqa: E402

from benchmarks.loop_guests import Visit  # noqa: E402

#: Answers a point, and the confidence of its band (standard errors of a share).
EACH, WIDE = 250, 1.96
_STABLE, _CANARY, _MARK = "#475569", "#c2410c", "#94a3b8"


def draw(
    visits: Sequence[Visit], marks: Sequence[tuple[float, str]], from_s: float, path: Path
) -> None:
    """Write the plot as SVG.

    Args:
        visits: what became of the requests.
        marks: moments (Unix seconds) and what happened then.
        from_s: the moment that is minute 0.
        path: where to.
    """
    figure, axis = plt.subplots(figsize=(9, 4))
    for variant, colour in (("stable", _STABLE), ("canary", _CANARY)):
        mine = [v for v in visits if v.variant == variant]
        points = [_point(mine[i : i + EACH], from_s) for i in range(0, len(mine) - EACH // 2, EACH)]
        if points:
            minute, share, error = np.array(points).T
            axis.plot(minute, share, "o-", color=colour, markersize=3, label=variant)
            axis.fill_between(minute, share - error, share + error, color=colour, alpha=0.15)
    top = axis.get_ylim()[1]
    for at_s, what in sorted(marks):
        minute = (at_s - from_s) / 60
        axis.axvline(minute, color=_MARK, linewidth=1, linestyle="--")
        axis.text(minute, top, f" {what}", fontsize=7, rotation=35, va="bottom")
    axis.set_xlabel("minutes")
    axis.set_ylabel("click-through (opened of looked at)")
    axis.legend(loc="lower left", frameon=False)
    axis.grid(alpha=0.25)
    for side in ("top", "right"):
        axis.spines[side].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


def _point(visits: Sequence[Visit], from_s: float) -> tuple[float, float, float]:
    viewed, opened = sum(v.viewed for v in visits), sum(v.opened for v in visits)
    share = opened / max(viewed, 1)
    error = WIDE * float(np.sqrt(share * (1 - share) / max(viewed, 1)))
    return (float(np.mean([v.at_s for v in visits])) - from_s) / 60, share, error
