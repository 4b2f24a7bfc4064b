"""Plots of a training, as SVG: losses by epoch, calibration, and the comparison by slice."""

import io
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from models.train import TrainedPair

_BINS = 10


def plots_of(pair: "TrainedPair") -> dict[str, str]:
    """All plots of a pair, by file name."""
    found = {"calibration.svg": calibration(pair)}
    if any(pair.curves.values()):
        found["losses.svg"] = losses(pair.curves)
    if compared := pair.card.get("compared"):
        found["gate.svg"] = comparison(compared)
    return found


def losses(curves: Mapping[str, Sequence[Any]]) -> str:
    """Training and validation loss by epoch, one panel a model."""
    names = [name for name, epochs in curves.items() if epochs]
    figure = _figure(5 * len(names), 3.5)
    for i, name in enumerate(names, 1):
        axes = figure.add_subplot(1, len(names), i)
        epochs = [epoch.number for epoch in curves[name]]
        for kind in ("train_loss", "validation_loss"):
            losses = [getattr(epoch, kind) for epoch in curves[name]]
            axes.plot(epochs, losses, marker=".", label=kind.replace("_", " "))
        axes.set(title=name, xlabel="epoch", ylabel="loss")
        axes.legend()
    return _svg(figure)


def calibration(pair: "TrainedPair") -> str:
    """Share of places that were chosen by the probability that they were given, in even bins."""
    ranked = pair.judged.ranked
    listed = ranked.rows >= 0
    chosen = (ranked.rows == pair.holdout.moments.place[:, None])[listed]
    said = ranked.probability[listed]
    order = np.argsort(said, kind="stable")
    parts = [part for part in np.array_split(order, _BINS) if len(part)]
    told = [float(said[part].mean()) for part in parts]
    true = [float(chosen[part].mean()) for part in parts]
    figure = _figure(5, 4)
    axes = figure.add_subplot()
    axes.plot([0, max(told)], [0, max(told)], color="grey", linestyle=":")
    axes.plot(told, true, marker="o")
    axes.set(title="calibration of what is served", xlabel="probability", ylabel="share chosen")
    return _svg(figure)


def comparison(compared: Sequence[Mapping[str, Any]]) -> str:
    """Difference in NDCG@10 to the pair in service, with its interval, overall and by slice."""
    figure = _figure(7, 1.2 + 0.3 * len(compared))
    axes = figure.add_subplot()
    for row, part in enumerate(compared):
        axes.plot([part["low"], part["high"]], [row, row], color="tab:blue")
        axes.plot(part["difference"], row, marker="o", color="tab:blue")
    axes.axvline(0, color="grey", linestyle=":")
    names = [f"{_named(part)} ({part['requests']})" for part in compared]
    axes.set_yticks(range(len(compared)), names)
    axes.invert_yaxis()
    axes.set(xlabel="NDCG@10 (or AUC), new - in service")
    return _svg(figure)


def _named(part: Mapping[str, Any]) -> str:
    return "AUC on rows" if part["metric"] == "auc" else str(part["slice"])


def _figure(width: float, height: float) -> Any:
    from matplotlib.figure import Figure

    return Figure(figsize=(width, height), layout="constrained")


def _svg(figure: Any) -> str:
    page = io.StringIO()
    figure.savefig(page, format="svg", metadata={"Date": None})
    return page.getvalue()
