"""Bringing each contestant to its ranks: the baselines by tuning, ours by training."""

import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from typing import Any

import numpy as np
import structlog
from numpy.typing import NDArray

from contracts.settings import Settings
from contracts.signatures import PARTS
from models import dataset
from models.fit_pair import fit_pair, needs_rows
from models.importance import Importance, drawn, of_answers
from models.progress import Reporter
from models.quality.baselines import recipes
from models.quality.leaks import check_no_leak
from models.quality.newcomers import Newcomers, refit
from models.quality.ranks import Ranks, rank_all
from models.quality.requests import MODES, Cuts, Mode, Questions, Requests
from models.quality.tuning import tune
from models.scoring import Scorer
from models.split import SplitAt
from online_features.request import RANKING_COLUMNS
from placestream.evaluation.judged import Judged
from placestream.evaluation.material import Known, Material
from placestream.evaluation.served import Answers, Reach, Served, ask
from placestream.evaluation.shown import shown_facts

log = structlog.get_logger(__name__)
#: Requests that are asked twice, the second time with another future; ours replay all the past.
AUDITED, AUDITED_BASELINES = 2, 20
#: TensorFlow adds up in an order that depends on where its arrays happen to lie in memory: the same
#: request differed by 5e-7 of a score, its features being equal to the bit.
ROUNDING = 1e-4
OURS, OURS_PLAIN = "placestream", "placestream, plain"


@dataclass(frozen=True)
class Contest:
    """What everybody is judged on.

    Attributes:
        material: the check-ins.
        cuts: of its visits.
        requests: see `models.quality.requests`.
        newcomers: see `models.quality.newcomers`.
    """

    material: Material
    cuts: Cuts
    requests: Requests
    newcomers: Newcomers


def baselines(contest: Contest, seed: int, progress: Reporter) -> Iterator[Judged]:
    """Tune, fit and score each baseline.

    Raises:
        Leak: one looks at what comes after a request.
    """
    made = recipes(seed)
    with progress.stage("baselines", len(made)) as stage:
        for recipe in made:
            began_s = time.perf_counter()
            tuned = tune(recipe, contest.material.visits, contest.cuts, seed)
            method = tuned.method
            stream = rank_all(method, contest.requests, "stream")
            frozen = rank_all(method, contest.requests, "frozen") if method.streams else stream
            facts = {
                "streams": method.streams,
                "parameters": tuned.parameters,
                "validation_ndcg_at_10": tuned.validation,
                "seconds": round(time.perf_counter() - began_s, 1),
            }
            log.info("baseline_judged", name=method.name, **facts)
            check_no_leak(
                method.name,
                method.score,
                contest.requests.questions("stream"),
                AUDITED_BASELINES,
                seed,
            )
            method = method.fit(refit(contest.material.visits, contest.newcomers))
            newcomers = rank_all(method, contest.newcomers.requests, "stream").all
            stage.advance(note=method.name)
            yield Judged(method.name, False, {"frozen": frozen, "stream": stream}, newcomers, facts)


def fitted(known: Known, cuts: Cuts, settings: Settings, progress: Reporter) -> Scorer:
    """Our pair: trained on what lies before `cuts.known`, the newest of which judges the training.

    What lies at and after `cuts.known` is not even handed over.

    Raises:
        TooFewEvents: too little lies before the cuts.
    """
    events = known.events.take(slice(0, cuts.known))
    with progress.stage("features as they were", None) as stage:
        data = dataset.build(
            events,
            known.catalogue,
            known.context,
            seed=settings.seed,
            max_events=settings.train_max_rows,
            stale_s=settings.context_stale_s,
            split=SplitAt(cuts.train),
            train_rows=needs_rows(settings),
            report=stage.advance,
        )
    # Sets in files are of the whole archive, not of what lies before these cuts.
    own = settings.model_copy(update={"train_sets_from": "replay"})
    pair = fit_pair(events, known.catalogue, data, own, progress)
    curves = {name: [asdict(epoch) for epoch in epochs] for name, epochs in pair.curves.items()}
    return Scorer.of(pair.candidates, pair.ranker, {"curves": curves})


def ours(contest: Contest, settings: Settings, progress: Reporter) -> list[Judged]:
    """Train our system and judge it: as it is served, and in the ranker's own order.

    Raises:
        TooFewEvents: too little lies before the cuts.
        Leak: an answer depends on what comes after its request.
    """
    began_s = time.perf_counter()
    scorer = fitted(contest.material, contest.cuts, settings, progress)
    trained_s = time.perf_counter() - began_s
    served = serve(contest.material, scorer, settings)
    name = OURS if settings.candidate_model != "matrix-factorisation" else OURS_PLAIN
    by_mode = {}
    with progress.stage(f"{name}: answers", len(MODES) + 1) as stage:
        for mode in MODES:
            by_mode[mode] = _answers(contest, served, mode)
            stage.advance(note=mode)
        newcomers = _to_newcomers(contest, scorer, settings)
        stage.advance(note="newcomers")
    inputs = len(RANKING_COLUMNS) + len(PARTS)
    with progress.stage(f"{name}: importance of inputs", inputs) as stage:
        leaned_on = _importance(contest, served, scorer, settings.seed, stage.advance)
    _audit(contest, scorer, settings, name)
    facts = {
        "candidate_model": settings.candidate_model,
        "training_seconds": round(trained_s, 1),
        "seconds": round(time.perf_counter() - began_s, 1),
        "curves": scorer.card.get("curves", {}),
        "importance": [asdict(one) for one in leaned_on],
        **shown_facts(
            by_mode["stream"][0],
            contest.requests.target,
            contest.requests.user,
            contest.material.catalogue,
        ),
    }
    return _both_orders(contest, name, by_mode, newcomers, facts)


def _importance(
    contest: Contest, served: Served, scorer: Scorer, seed: int, report: Callable[[], object]
) -> list[Importance]:
    """What the ranker leans on, streamed, on so few requests that it takes seconds."""
    requests = contest.requests.take(drawn(len(contest.requests), seed))
    asked = ask(contest.material, requests.questions("stream"))
    return of_answers(
        served.seen(asked),
        requests.target,
        asked.user,
        contest.material.catalogue,
        scorer,
        seed=seed,
        report=report,
    )


def _both_orders(
    contest: Contest,
    name: str,
    by_mode: dict[Mode, tuple[Answers, Answers]],
    newcomers: Answers,
    facts: dict[str, Any],
) -> list[Judged]:
    """The same answers in the service's order, and in the ranker's own."""
    to = contest.newcomers.requests.target
    judged = []
    for suffix, order in (("", Answers.ranks), (", ranker's order", Answers.ranker_ranks)):
        ranks = {mode: _ranks(contest, *by_mode[mode], order) for mode in MODES}
        judged.append(Judged(name + suffix, True, ranks, order(newcomers, to), facts))
    share = {mode: _let_through(contest, by_mode[mode][0]) for mode in MODES}
    return [replace(judged[0], candidates=share), judged[1]]


def _audit(contest: Contest, scorer: Scorer, settings: Settings, name: str) -> None:
    """Raise `Leak` if an answer of ours depends on what came after the request."""

    def answer(questions: Questions) -> NDArray[np.float64]:
        material = contest.material.with_visits(questions.visits)
        answers = serve(material, scorer, settings).rank(ask(material, questions))
        # By place: of two that are equal but for rounding, either may come first.
        scores = np.full((len(questions), len(material.catalogue) + 1), -np.inf)
        np.put_along_axis(scores, answers.rows, answers.scores, axis=1)
        return scores[:, :-1]

    questions = contest.requests.questions("stream")
    check_no_leak(name, answer, questions, AUDITED, settings.seed, tolerance=ROUNDING)


def serve(known: Known, scorer: Scorer, settings: Settings) -> Served:
    """Our system with the reach of the service's settings."""
    reach = Reach(settings.near_places, settings.max_radius_m, settings.candidates)
    return Served(known, scorer, reach, stale_s=settings.context_stale_s)


def _answers(contest: Contest, served: Served, mode: Mode) -> tuple[Answers, Answers]:
    """Answers to all requests, and to those with a new target once more, asked for new places."""
    new = contest.requests.take(contest.requests.is_new)
    discover = served.rank(ask(contest.material, new.questions(mode), only_new=True))
    every = served.rank(ask(contest.material, contest.requests.questions(mode)))
    return every, discover.without(*new.known_places())


def _to_newcomers(contest: Contest, scorer: Scorer, settings: Settings) -> Answers:
    """Answers to users whose past is removed from every feature, under ids of no model.

    What the weights learned of places they learned with those users' visits: training without
    them would be a second training, for a fifth of the users.
    """
    newcomers = contest.newcomers
    material = contest.material.take(newcomers.kept).with_strangers(newcomers.users)
    questions = newcomers.requests.questions("stream")
    return serve(material, scorer, settings).rank(ask(material, questions))


def _let_through(contest: Contest, answers: Answers) -> dict[str, float]:
    """Share of the targets among the candidates; 0 where no target is new."""
    found, new = answers.found(contest.requests.target), contest.requests.is_new
    return {
        "recall_all": float(found.mean()),
        "recall_new": float(found[new].mean()) if new.any() else 0.0,
    }


def _ranks(
    contest: Contest,
    every: Answers,
    discover: Answers,
    order: Callable[[Answers, NDArray[np.int64]], NDArray[np.float64]],
) -> Ranks:
    target, new = contest.requests.target, contest.requests.is_new
    among_new = np.full(len(target), np.nan)
    among_new[new] = order(discover, target[new])
    return Ranks(order(every, target), among_new)
