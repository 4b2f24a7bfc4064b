"""Judges what was served lately by the detectors of `retrain`, for the eye."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray
from rich.table import Table as Lines

from contracts.settings import Settings
from models.bootstrap import Interval
from models.plots import shares
from models.reference import Reference
from models.report.charts import Chart, Row, Section, Table, bars
from models.report.page import Page
from placestream.console.drift import PSI_WARNS
from retrain.archived_answers import archived_answers
from retrain.drift_watch import EXEMPT, DriftWatch, Judged
from retrain.in_service import InService, load_in_service
from retrain.rollout import current
from retrain.window import Compared

#: Columns that are drawn, and columns that are shown at once.
_DRAWN, _FOREMOST = 6, 20


class NothingToJudge(ValueError):
    """There is no version, or too few of its answers; the message says what to do."""


@dataclass(frozen=True)
class Column:
    """One column of what the ranker saw, or its probability.

    Attributes:
        name: of the column.
        psi, chance, ks_p: see `retrain.psi` and `retrain.ks`.
        served, expected: float64[B], shares of its bins.
        labels: of the bins.
        asks: whether it may ask for a training; what follows the clock or the sky may not.
    """

    name: str
    psi: float
    chance: float
    ks_p: float
    served: NDArray[np.float64]
    expected: NDArray[np.float64]
    labels: tuple[str, ...]
    asks: bool

    def tone(self, threshold: float) -> str:
        """ "bad" beyond the threshold and chance, "warn" beyond 0.1 and chance, else nothing."""
        if self.psi <= self.chance:
            return ""
        return "bad" if self.psi > threshold else "warn" if self.psi > PSI_WARNS else ""


@dataclass(frozen=True)
class Found:
    """What the detectors say.

    Attributes:
        model: the version.
        columns: the most changed first.
        judged: all that they said.
        threshold: PSI that asks for a training.
        answers, users: judged.
        span_s: of the answers, Unix seconds.
    """

    model: InService
    columns: tuple[Column, ...]
    judged: Judged
    threshold: float
    answers: int
    users: int
    span_s: tuple[float, float]

    @property
    def drifted(self) -> list[Column]:
        """Columns that ask for a training."""
        return [one for one in self.columns if one.asks and one.tone(self.threshold) == "bad"]


def judge(settings: Settings, version: int | None, until_s: float | None = None) -> Found:
    """Judge the newest archived answers of a version, by default of that in service.

    Raises:
        NothingToJudge: there is no version in service, or too few of its answers are archived.
        retrain.in_service.NoCard: the version cannot be read.
    """
    version = current(settings) if version is None else version
    if version is None:
        raise NothingToJudge(
            f"no version is in service ({settings.model_config_file}): name one with --version"
        )
    model = load_in_service(settings, version)
    most = settings.drift_window_answers
    answers = archived_answers(settings.archive_dir, model, most=most, until_s=until_s)
    watch = DriftWatch(settings, model, np.random.default_rng(settings.seed))
    if answers is not None:
        watch.window.update(answers)
    judged = watch.judge()
    if judged is None or answers is None or watch.window.span_s is None:
        raise NothingToJudge(
            f"the archive in {settings.archive_dir} holds {watch.window.size} answers of version "
            f"{version}; a judgement needs {settings.drift_min_answers} "
            "(PLACESTREAM_DRIFT_MIN_ANSWERS)"
        )
    columns = _columns(model.reference, Compared.of(watch.window), judged)
    return Found(
        model=model,
        columns=tuple(sorted(columns, key=lambda one: -one.psi)),
        judged=judged,
        threshold=settings.psi_retrain,
        answers=watch.window.size,
        users=len(np.unique(answers.user)),
        span_s=watch.window.span_s,
    )


def _columns(reference: Reference, compared: Compared, judged: Judged) -> list[Column]:
    found = []
    for i, name in enumerate(reference.columns):
        served, expected = compared.served[i], compared.expected[i]
        used = (served > 0) | (expected > 0)
        labels = np.array(bin_labels(reference.edges[i]))
        found.append(
            Column(
                name=name,
                psi=float(judged.psi[i]),
                chance=float(judged.chance[i]),
                ks_p=float(judged.ks_p[i]),
                served=served[used],
                expected=expected[used],
                labels=tuple(labels[used].tolist()),
                asks=not name.startswith(EXEMPT),
            )
        )
    return found


def bin_labels(edges: NDArray[np.floating]) -> list[str]:
    """Names of the bins of a column, padding included: missing, then up to each edge, then above.

    >>> import numpy as np
    >>> bin_labels(np.array([0.5, 2.0, np.inf]))
    ['missing', '≤ 0.5', '≤ 2', '> 2', '']
    """
    known = edges[np.isfinite(edges)]
    last = [f"> {known[-1]:.3g}"] if len(known) else ["any"]
    named = ["missing", *(f"≤ {edge:.3g}" for edge in known), *last]
    return named + [""] * (len(edges) + 2 - len(named))


def table(found: Found) -> Lines:
    """The columns that changed most, for a terminal."""
    lines = Lines(title=summary(found), title_justify="left")
    for name in ("column", "PSI", "by chance", "KS p", ""):
        lines.add_column(name, justify="left" if name == "column" else "right")
    for one in found.columns[:_FOREMOST]:
        lines.add_row(*_cells(one), _verdict(one, found.threshold))
    return lines


def summary(found: Found) -> str:
    """One sentence."""
    names = [one.name for one in found.drifted]
    together = found.judged.together
    beyond = (
        f"{len(names)} of {len(found.columns)} columns are beyond PSI {found.threshold:g} and "
        f"chance: {', '.join(names)}."
        if names
        else f"No column is beyond PSI {found.threshold:g} and chance."
    )
    return (
        f"{found.answers:,} answers of version {found.model.version}. {beyond} All columns "
        f"together {'have' if together.drifted else 'have not'} changed "
        f"(MMD, p = {together.p_value:.3g})."
    )


def page_of(found: Found) -> Page:
    """The report as a page."""
    together = found.judged.together
    return Page(
        title=f"Drift of what version {found.model.version} is asked",
        lead=summary(found),
        facts={
            "answers": f"{found.answers:,}",
            "users": f"{found.users:,}",
            "from (UTC)": _minute(found.span_s[0]),
            "until (UTC)": _minute(found.span_s[1]),
            "trained (UTC)": _minute(found.model.trained_at_s),
            "MMD": f"{together.value:.4g}",
            "MMD by chance": f"{together.threshold:.4g}",
        },
        sections=[
            _by_column(found),
            Section(
                "The most changed",
                "Shares of the places served, by the bins of the training.",
                tuple(_chart(one) for one in found.columns[:_DRAWN]),
            ),
            Section("How to read it", says=_READING),
        ],
    )


def _by_column(found: Found) -> Section:
    rows = _rows(found)
    columns = ("column", "", "PSI", "by chance", "KS p", "verdict")
    parts = [Table("PSI by column; the dashed line asks for a training", columns, rows[:_FOREMOST])]
    if others := rows[_FOREMOST:]:
        parts.append(Table(f"The other {len(others)} columns", columns, others, folded=True))
    return Section(
        "Columns",
        "Against what the training says of the same hours of the week. Red: beyond the threshold, "
        "and beyond what sampling alone gives; KS is corrected for all columns.",
        tuple(parts),
    )


_READING = (
    "One column: look at its producer before its users.",
    "Many columns at once: an upstream change, or another crowd of users.",
    "KS without PSI: real, and small. MMD alone: columns changed together.",
    "What follows the clock or the sky alone is shown and asks for nothing.",
)


def _rows(found: Found) -> tuple[Row, ...]:
    reach = [Interval(one.psi, 0.0, one.psi) for one in found.columns]
    tones = [one.tone(found.threshold) if one.asks else "" for one in found.columns]
    drawn = bars(reach, zero=found.threshold, tones=tones)
    return tuple(
        Row((*_cells(one), _verdict(one, found.threshold)), bar, strong=tone == "bad")
        for one, bar, tone in zip(found.columns, drawn, tones, strict=True)
    )


def _cells(one: Column) -> tuple[str, ...]:
    return one.name, f"{one.psi:.3f}", f"{one.chance:.3f}", f"{one.ks_p:.3g}"


def _verdict(one: Column, threshold: float) -> str:
    said = {"bad": "drifted", "warn": "look at it", "": ""}[one.tone(threshold)]
    return said if one.asks or not said else "by the clock or the sky"


def _chart(one: Column) -> Chart:
    apart = np.abs(one.served - one.expected)
    most = int(apart.argmax())
    rows: Sequence[Row] = [
        Row((label, f"{was:.3f}", f"{now:.3f}"))
        for label, was, now in zip(one.labels, one.expected, one.served, strict=True)
    ]
    return Chart(
        f"column-{one.name.replace('_', '-')}",
        one.name,
        f"PSI {one.psi:.3f}. The bin that changed most is {one.labels[most]}: "
        f"{one.expected[most]:.1%} expected, {one.served[most]:.1%} served.",
        shares(one.served, one.expected, one.labels),
        Table(f"Bins of {one.name}", ("bin", "expected", "served"), tuple(rows), folded=True),
    )


def _minute(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).strftime("%Y-%m-%d %H:%M")
