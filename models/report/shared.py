"""Sections that reports of trainings and of evaluations have in common."""

from collections.abc import Iterator, Mapping, Sequence

from models.bootstrap import Interval
from models.fitting import Epoch
from models.importance import FIRST, Importance
from models.plots import CalibrationBin, Cell, calibration, coverage_map, losses
from models.report.charts import Chart, Row, Section, Table, bars, tone

#: Inputs that are shown at once; the others are folded.
_FOREMOST = 20
_TITLES = {"ranker": "Loss of the ranker", "candidates": "Loss of the candidate model"}


def curves(epochs_of: Mapping[str, Sequence[Epoch]]) -> Iterator[Section]:
    """Losses by epoch, of each model that was trained by gradients; nothing if none was."""
    charts = tuple(_curve(name, epochs) for name, epochs in epochs_of.items() if epochs)
    if charts:
        yield Section("Training curves", "", charts)


def _curve(name: str, epochs: Sequence[Epoch]) -> Chart:
    best = min(epochs, key=lambda epoch: epoch.validation_loss)
    rows = tuple(
        Row((str(e.number), f"{e.train_loss:.5f}", f"{e.validation_loss:.5f}", f"{e.rate:.2g}"))
        for e in epochs
    )
    columns = ("epoch", "training loss", "validation loss", "learning rate")
    return Chart(
        f"curve-{name}",
        _TITLES.get(name, f"Loss of {name}"),
        f"Validation loss over {len(epochs)} epochs: from {epochs[0].validation_loss:.4f} "
        f"to {best.validation_loss:.4f}, the least, in epoch {best.number}, whose weights "
        "were kept.",
        losses({name: epochs}),
        Table(f"Epochs of the {name}", columns, rows, folded=True),
    )


def calibrated(bins: Sequence[CalibrationBin], more: str = "") -> Section:
    """Whether probabilities mean what they say."""
    rows = tuple(
        Row((f"{one.said:.4f}", f"{one.chosen.value:.4f}", _span(one.chosen), f"{one.places:,}"))
        for one in bins
    )
    inside = sum(one.chosen.low <= one.said <= one.chosen.high for one in bins)
    columns = ("probability", "share chosen", "95 %", "places")
    chart = Chart(
        "calibration",
        "Share chosen by probability said",
        f"The probability lies within the 95 % interval of the share that was chosen in {inside} "
        f"of {len(bins)} bins of as many places each; on the dashed line both would be equal. "
        f"{more}",
        calibration(bins),
        Table("Calibration by bin", columns, rows, folded=True),
    )
    return Section("Calibration", "", (chart,))


def coverage(
    cells: Sequence[Cell], shown: int, places: int, *, requests: int, listed: int
) -> Section:
    """Which of the places anybody is shown, on the map.

    Args:
        cells: of the map.
        shown, places: open places that are in any list, and all of them.
        requests: how many lists.
        listed: their length.
    """
    never = sum(not cell.shown for cell in cells)
    chart = Chart(
        "coverage",
        f"Places shown among the first {listed}",
        f"{shown:,} of {places:,} open places ({shown / max(places, 1):.1%}) are in the first "
        f"{listed} of any of {requests:,} requests; of {len(cells)} cells of the map {never} show "
        "none. The stronger the colour, the larger the share of a cell's places.",
        coverage_map(cells),
    )
    return Section("Coverage", "", (chart,))


def leaned_on(importances: Sequence[Importance]) -> Section:
    """What a ranker leans on, by `models.importance`, the greatest first."""
    found = [one.loss for one in importances]
    lines = zip(importances, found, bars(found, tones=[tone(i) for i in found]), strict=True)
    rows = [Row((one.name, f"{it.value:+.4f}", _span(it)), bar) for one, it, bar in lines]
    columns = ("input", "", "NDCG@10 lost", "95 %")
    foremost = Table("What is lost when an input is permuted", columns, tuple(rows[:_FOREMOST]))
    parts = [foremost]
    if rows[_FOREMOST:]:
        others = tuple(rows[_FOREMOST:])
        parts.append(Table(f"The other {len(others)} inputs", columns, others, folded=True))
    return Section(
        "What the ranker leans on",
        f"Each input of the ranker is given the values of other requests, and the first {FIRST} "
        "places of each answer are ordered anew. Inputs that tell the same stand in for each "
        "other: neither is missed.",
        tuple(parts),
    )


def _span(interval: Interval) -> str:
    return f"{interval.low:.3f} to {interval.high:.3f}"
