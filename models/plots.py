"""Plots of a training, as SVG: losses by epoch, calibration, the comparison by slice, the map.

Colours are those of the reports' light scheme; `models.report.charts` makes them follow the
reader's scheme. A plot is at most as wide as a phone's screen shows well.
"""

import io
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import h3
import numpy as np
from numpy.typing import NDArray

from models.bootstrap import Interval, intervals

if TYPE_CHECKING:
    from models.train import TrainedPair

INK, MUTED, LINE, ACCENT, SECOND = "#161a20", "#545d6a", "#c3cad4", "#1f57c9", "#b3561e"
#: Inches of 72 points.
WIDTH, HEIGHT = 4.6, 3.1
_BINS = 10
#: At most so many cells make a map, of at least so many places each on average.
_CELLS, _PLACES_EACH = 500, 3
_FINEST, _COARSEST = 10, 3


def plots_of(pair: "TrainedPair") -> dict[str, str]:
    """All plots of a pair, by file name."""
    found = {"calibration.svg": calibration(bins_of_pair(pair))}
    if any(pair.curves.values()):
        found["losses.svg"] = losses(pair.curves)
    if compared := pair.card.get("compared"):
        found["gate.svg"] = comparison(compared)
    return found


def losses(curves: Mapping[str, Sequence[Any]]) -> str:
    """Training and validation loss by epoch, one panel a model."""
    names = [name for name, epochs in curves.items() if epochs]
    figure = _figure(WIDTH * len(names), HEIGHT)
    for i, name in enumerate(names, 1):
        axes = figure.add_subplot(1, len(names), i)
        epochs = [epoch.number for epoch in curves[name]]
        for kind, colour in (("train_loss", MUTED), ("validation_loss", ACCENT)):
            losses = [getattr(epoch, kind) for epoch in curves[name]]
            axes.plot(epochs, losses, marker=".", label=kind.replace("_", " "), color=colour)
        axes.xaxis.get_major_locator().set_params(integer=True)
        axes.set(title=name, xlabel="epoch", ylabel="loss")
        axes.legend(frameon=False)
    return as_svg(figure)


@dataclass(frozen=True)
class CalibrationBin:
    """Places of nearly one probability.

    Attributes:
        said: mean probability that they were given.
        chosen: share that was chosen, with a 95 % interval over users.
        places: how many.
    """

    said: float
    chosen: Interval
    places: int


def calibration_bins(
    said: NDArray[np.floating],
    chosen: NDArray[np.bool_],
    user: NDArray[np.integer],
    bins: int = _BINS,
) -> list[CalibrationBin]:
    """Places in bins of as many each, by ascending probability.

    Args:
        said: float[n], probability that each place was given.
        chosen: bool[n], whether it was the one.
        user: int[n], whose request it was listed in.
        bins: how many.
    """
    found = []
    for part in np.array_split(np.argsort(said, kind="stable"), bins):
        if len(part):
            (share,) = intervals(chosen[part, None].astype(np.float64), user[part], seed=0)
            found.append(CalibrationBin(float(said[part].mean()), share, len(part)))
    return found


def bins_of_pair(pair: "TrainedPair") -> list[CalibrationBin]:
    """Of all places that a pair ranked for its held-out requests."""
    ranked, moments = pair.judged.ranked, pair.holdout.moments
    listed = ranked.rows >= 0
    chosen = (ranked.rows == moments.place[:, None])[listed]
    user = np.broadcast_to(moments.user[:, None], listed.shape)[listed]
    return calibration_bins(ranked.probability[listed], chosen, user)


def calibration(bins: Sequence[CalibrationBin]) -> str:
    """Share of places that were chosen by the probability that they were given, square roots."""
    told = np.array([one.said for one in bins])
    low, true, high = (
        np.array([getattr(one.chosen, name) for one in bins]) for name in ("low", "value", "high")
    )
    figure = _figure(WIDTH, HEIGHT + 0.5)
    axes = figure.add_subplot()
    most = max(told.max(), high.max())
    ticks = np.unique(np.round(most * np.array([0, 0.04, 0.16, 0.36, 0.64, 1]), 3))
    rooted = {"value": "function", "functions": (_root, np.square)}
    axes.set_xscale(**rooted)  # most probabilities are small
    axes.set_yscale(**rooted)
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks(ticks, [f"{tick:g}" for tick in ticks])
    axes.plot([0, most], [0, most], color=LINE, linestyle="--")
    axes.vlines(told, low, high, color=ACCENT, linewidth=1.2)
    axes.plot(told, true, marker="o", markersize=4, color=ACCENT)
    axes.set(xlabel="probability", ylabel="share chosen")
    return as_svg(figure)


def _root(values: NDArray[np.float64]) -> NDArray[np.float64]:
    return np.sqrt(np.maximum(values, 0))


def comparison(compared: Sequence[Mapping[str, Any]]) -> str:
    """Difference in NDCG@10 to the pair in service, with its interval, overall and by slice."""
    figure = _figure(7, 1.2 + 0.3 * len(compared))
    axes = figure.add_subplot()
    for row, part in enumerate(compared):
        axes.plot([part["low"], part["high"]], [row, row], color=ACCENT)
        axes.plot(part["difference"], row, marker="o", color=ACCENT)
    axes.axvline(0, color=LINE, linestyle="--")
    names = [f"{_named(part)} ({part['requests']})" for part in compared]
    axes.set_yticks(range(len(compared)), names)
    axes.invert_yaxis()
    axes.set(xlabel="NDCG@10 (or AUC), new - in service")
    return as_svg(figure)


@dataclass(frozen=True)
class Cell:
    """A part of the map.

    Attributes:
        id: of H3.
        places: open places in it.
        shown: those of them that were in any list.
    """

    id: str
    places: int
    shown: int


def coverage_cells(
    lat: NDArray[np.floating], lng: NDArray[np.floating], shown: NDArray[np.bool_]
) -> list[Cell]:
    """Places by H3 cell, as fine as some hundred cells allow.

    Args:
        lat, lng: float[n], degrees, of the places that count; those at NaN are left out.
        shown: bool[n], which of them were in any list.
    """
    known = np.flatnonzero(~(np.isnan(lat) | np.isnan(lng)))
    most = max(1, min(_CELLS, len(known) // _PLACES_EACH))
    for resolution in range(_FINEST, _COARSEST - 1, -1):
        cells = [h3.latlng_to_cell(float(lat[i]), float(lng[i]), resolution) for i in known]
        if len(set(cells)) <= most:
            break
    names, of = np.unique(np.array(cells, str), return_inverse=True)
    places = np.bincount(of, minlength=len(names))
    seen = np.bincount(of, shown[known].astype(np.float64), minlength=len(names))
    return [
        Cell(str(name), int(count), int(hit))
        for name, count, hit in zip(names, places, seen, strict=True)
    ]


def coverage_map(cells: Sequence[Cell]) -> str:
    """The area of the places: the stronger a cell's colour, the more of its places were shown."""
    from matplotlib.collections import PolyCollection
    from matplotlib.colors import to_rgba

    outlines = [np.array(h3.cell_to_boundary(cell.id))[:, ::-1] for cell in cells]
    figure = _figure(WIDTH, WIDTH)
    axes = figure.add_subplot()
    faces = [to_rgba(ACCENT, cell.shown / cell.places) for cell in cells]
    axes.add_collection(PolyCollection(outlines, facecolors=faces, edgecolors=LINE, linewidths=0.6))
    axes.autoscale_view()
    middle = float(np.mean([outline[:, 1].mean() for outline in outlines]))
    axes.set_aspect(1 / np.cos(np.radians(middle)), adjustable="datalim")
    axes.set_axis_off()
    return as_svg(figure)


def shares(
    served: NDArray[np.floating], expected: NDArray[np.floating], labels: Sequence[str]
) -> str:
    """Shares of a column's bins: as served beside as expected, float[B] each."""
    figure = _figure(WIDTH, 2.2)
    axes = figure.add_subplot()
    at = np.arange(len(served))
    axes.bar(at - 0.2, expected, 0.4, color=LINE, label="expected")
    axes.bar(at + 0.2, served, 0.4, color=ACCENT, label="served")
    axes.set_xticks(at, labels, rotation=45, ha="right", fontsize=8)
    axes.set(ylabel="share of places")
    axes.legend(frameon=False, loc="lower center", bbox_to_anchor=(0.5, 1), ncols=2)
    return as_svg(figure)


def recall_curves(
    lengths: Sequence[int], lines: Mapping[str, Sequence[float]], ours: Collection[str]
) -> str:
    """Recall by length of the list, one line a method; ours in colour."""
    figure = _figure(WIDTH, HEIGHT)
    axes = figure.add_subplot()
    for name, values in reversed(list(lines.items())):
        own = name in ours
        colour, width = (ACCENT, 2.2) if own else (LINE, 1.3)
        axes.plot(lengths, values, color=colour, linewidth=width, marker="o", markersize=3)
    axes.set_xscale("log")
    axes.set_xticks(lengths, [str(length) for length in lengths])
    axes.minorticks_off()
    axes.set(xlabel="length of the list", ylabel="recall")
    axes.set_ylim(bottom=0)
    return as_svg(figure)


def _named(part: Mapping[str, Any]) -> str:
    return "AUC on rows" if part["metric"] == "auc" else str(part["slice"])


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def as_svg(figure: Any) -> str:
    """A figure as SVG whose text is text, without a ground; the same for the same data."""
    import matplotlib as mpl

    for axes in figure.axes:
        axes.patch.set_visible(False)
        axes.spines[["top", "right"]].set_visible(False)
        for spine in axes.spines.values():
            spine.set_color(MUTED)
        axes.tick_params(colors=MUTED)
        for text in (axes.xaxis.label, axes.yaxis.label, axes.title, *_legend(axes)):
            text.set_color(INK)
    page = io.StringIO()
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "placestream"}):
        nothing = dict.fromkeys(("Date", "Creator", "Format", "Type"))
        figure.savefig(page, format="svg", metadata=nothing, transparent=True)
    return page.getvalue()


def _legend(axes: Any) -> list[Any]:
    legend = axes.get_legend()
    return list(legend.get_texts()) if legend else []
