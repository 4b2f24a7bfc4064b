"""The protocol "next place, from here, now" on a file of check-ins, from reading to the report."""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from contracts.settings import Settings
from models.progress import Reporter
from models.quality.metrics import as_json
from models.quality.newcomers import play_newcomers
from models.quality.requests import Cuts, Requests
from placestream.evaluation.contestants import Contest, baselines, ours
from placestream.evaluation.judged import Duel, Judged, Verdict, modes_of
from placestream.evaluation.material import Material

#: The plain configuration, as settings.
PLAIN = {"candidate_model": "matrix-factorisation", "ranker_model": "wide-and-deep"}


@dataclass(frozen=True)
class Options:
    """What to run.

    Attributes:
        shares: of train, validation and test.
        part: which part is judged, "test" or "validation".
        contestants: "all", "ours" or "baselines".
        plain: whether `PLAIN` takes part as a second system of ours.
        seed: of resampling, drawing and the baselines' first values.
        most: judge at most so many requests, drawn evenly; `None`: all.
    """

    shares: tuple[float, float, float] = (0.8, 0.1, 0.1)
    part: str = "test"
    contestants: str = "all"
    plain: bool = False
    seed: int = 17
    most: int | None = None


@dataclass(frozen=True)
class Outcome:
    """All that was found.

    Attributes:
        verdict: requests and slices.
        judged: every contestant; ours first.
        cuts: of the log.
    """

    verdict: Verdict
    judged: list[Judged]
    cuts: Cuts

    @property
    def ours(self) -> list[Judged]:
        """Our systems."""
        return [one for one in self.judged if one.ours]

    @property
    def baselines(self) -> list[Judged]:
        """The others."""
        return [one for one in self.judged if not one.ours]


def evaluate(
    material: Material, options: Options, settings: Settings, progress: Reporter
) -> Outcome:
    """Judge every contestant on the same requests.

    Raises:
        ValueError: the file is too small for the shares, or no user comes back in a part.
        TooFewEvents: too little lies before the cuts for a training.
    """
    visits = material.visits
    cuts = Cuts.of(len(visits), options.shares, options.part)
    requests = Requests.of(visits.first(cuts.end), cuts)
    if not len(requests):
        raise ValueError(f"no user of the {options.part} part has checked in before")
    newcomers = play_newcomers(requests, options.seed)
    if options.most:
        requests = requests.drawn(options.most, options.seed)
    contest = Contest(material, cuts, requests, newcomers)
    judged: list[Judged] = []
    if options.contestants != "baselines":
        judged += ours(contest, settings, progress)
        if options.plain:
            plain = settings.model_copy(update=PLAIN)
            judged += ours(contest, plain, progress)
    if options.contestants != "ours":
        judged += baselines(contest, options.seed, progress)
    return Outcome(Verdict(requests, newcomers, options.seed), judged, cuts)


def report(outcome: Outcome, material: Material, options: Options) -> dict[str, Any]:
    """Everything as JSON takes it."""
    verdict, cuts, visits = outcome.verdict, outcome.cuts, material.visits
    return {
        "protocol": "next-place",
        "part": options.part,
        "shares": options.shares,
        "seed": options.seed,
        "check_ins": len(visits),
        "users": visits.users,
        "places": visits.places,
        "trained_until": _iso(visits.time_s[cuts.train]),
        "judged_from": _iso(visits.time_s[cuts.known]),
        "requests": verdict.sizes,
        "contestants": [_row(verdict, judged) for judged in outcome.judged],
        "against_the_best_baseline": {
            one.name: {
                mode: [_duel(d) for d in verdict.duels(one, outcome.baselines, mode)]
                for mode in modes_of(one)
            }
            for one in outcome.ours
            if outcome.baselines
        },
    }


def _row(verdict: Verdict, judged: Judged) -> dict[str, Any]:
    by_mode: dict[str, Any] = {
        mode: {name: as_json(found) for name, found in verdict.figures(judged, mode).items()}
        for mode in modes_of(judged)
    }
    row = {"name": judged.name, "ours": judged.ours, **judged.facts, **by_mode}
    return row | ({"candidates": judged.candidates} if judged.candidates else {})


def _duel(duel: Duel) -> dict[str, Any]:
    return {"slice": duel.slice, "baseline": duel.baseline, "ours_is_higher_by": as_json(duel.by)}


def _iso(time_s: float) -> str:
    return datetime.fromtimestamp(time_s, UTC).isoformat()
