"""The plot of the loop's story: click-through, what the detectors said, and what was done."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "placestream"

import numpy as np  # noqa: E402  # the back end is chosen before
from matplotlib import pyplot as plt  # noqa: E402

from benchmarks.loop_guests import Visit  # noqa: E402
from benchmarks.loop_readings import Reading  # noqa: E402
from benchmarks.loop_story import Told  # noqa: E402

#: Answers a point, and the confidence of its band (standard errors of a share).
EACH, WIDE = 200, 1.96
#: Marks nearer to each other than this share one text, minutes.
TOGETHER = 0.35
#: Marks of accuracy and of PSI: `accuracy_retrain`, `target_psi_retrain`.
ACCURACY, PSI = 0.80, 0.2
_STABLE, _CANARY, _MARK, _PSI = "#475569", "#c2410c", "#94a3b8", "#0e7490"


def draw(told: Told, path: Path) -> None:
    """Write the plot as SVG."""
    from_s = told.visits[0].at_s
    figure, (above, below) = plt.subplots(2, 1, figsize=(9, 5.6), sharex=True, height_ratios=(3, 2))
    _click_through(above, told.visits, from_s)
    _detectors(below, told.readings, from_s)
    _marks(above, below, told, from_s)
    below.set_xlabel("minutes")
    for axis in (above, below):
        axis.grid(alpha=0.25)
        for side in ("top", "right"):
            axis.spines[side].set_visible(False)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, metadata={"Date": None}, bbox_inches="tight")
    plt.close(figure)


def _click_through(axis: Any, visits: Sequence[Visit], from_s: float) -> None:
    # The canary's users are fewer, and met for a minute.
    for variant, colour, each in (("stable", _STABLE, EACH), ("canary", _CANARY, EACH // 2)):
        mine = [v for v in visits if v.variant == variant]
        points = [_point(mine[i : i + each], from_s) for i in range(0, len(mine) - each // 2, each)]
        if points:
            minute, share, error = np.array(points).T
            axis.plot(minute, share, "o-", color=colour, markersize=3, label=variant)
            axis.fill_between(minute, share - error, share + error, color=colour, alpha=0.15)
    axis.set_ylabel("opened of looked at")
    axis.legend(loc="lower left", frameon=False)


def _detectors(axis: Any, readings: Sequence[Reading], from_s: float) -> None:
    """Accuracy on the left, PSI of what is chosen on the right, each with its mark.

    Nothing where too few choices are known to judge: at the begin of each version.
    """
    other = axis.twinx()
    minute = [(reading.at_s - from_s) / 60 for reading in readings]
    for side, name, colour, mark in (
        (axis, "accuracy", _STABLE, ACCURACY),
        (other, "psi", _PSI, PSI),
    ):
        value = [np.nan if r.psi is None else getattr(r, name) for r in readings]
        side.plot(minute, np.array(value, float), color=colour, linewidth=1.2)
        side.axhline(mark, color=colour, linewidth=0.8, linestyle=":")
        side.tick_params(axis="y", colors=colour)
    axis.set_ylabel("accuracy", color=_STABLE)
    other.set_ylabel("PSI of what is chosen", color=_PSI)
    other.spines["top"].set_visible(False)


def _marks(above: Any, below: Any, told: Told, from_s: float) -> None:
    what = "labels poisoned" if told.request.reason == "manual" else "people turn round"
    marks = [(told.happened_s, what)]
    marks += [(told.request.requested_at.timestamp(), f"asked: {told.request.reason}")]
    marks += [(step.at.timestamp(), step.step.replace("_", " ")) for step in told.audit.steps]
    top, texts = above.get_ylim()[1], dict[float, list[str]]()
    for at_s, name in sorted(marks):
        minute = (at_s - from_s) / 60
        for axis in (above, below):
            axis.axvline(minute, color=_MARK, linewidth=1, linestyle="--")
        near = [at for at in texts if minute - at < TOGETHER]
        texts.setdefault(near[-1] if near else minute, []).append(name)
    for minute, names in texts.items():
        above.text(minute, top, f" {', '.join(names)}", fontsize=7, rotation=35, va="bottom")


def _point(visits: Sequence[Visit], from_s: float) -> tuple[float, float, float]:
    viewed, opened = sum(v.viewed for v in visits), sum(v.opened for v in visits)
    share = opened / max(viewed, 1)
    error = WIDE * float(np.sqrt(share * (1 - share) / max(viewed, 1)))
    return (float(np.mean([v.at_s for v in visits])) - from_s) / 60, share, error
