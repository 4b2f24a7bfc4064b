"""Figures and the README's table of an evaluation."""

from collections.abc import Mapping

from benchmarks.report import Figure
from models.bootstrap import Interval
from models.quality.metrics import NDCG
from placestream.evaluation.judged import Judged, modes_of
from placestream.evaluation.next_place import Outcome
from placestream.evaluation.simulated import Regret

#: Slice, metric, and how a heading says it.
COLUMNS = (
    ("all", "recall_at_5", "R@5"),
    ("all", "recall_at_10", "R@10"),
    ("all", "recall_at_20", "R@20"),
    ("all", NDCG, "NDCG@10"),
    ("all", "mrr", "MRR"),
    ("discover", "recall_at_5", "R@5"),
    ("discover", "recall_at_10", "R@10"),
    ("discover", "recall_at_20", "R@20"),
    ("discover", "recall_at_100", "R@100"),
    ("discover", NDCG, "NDCG@10"),
    ("discover", "mrr", "MRR"),
)


def figures(outcome: Outcome) -> list[Figure]:
    """All of `COLUMNS` for every contestant, streamed; least and greatest are the bounds."""
    found = []
    for judged in outcome.judged:
        slices = outcome.verdict.figures(judged, "stream")
        for part, metric, short in COLUMNS:
            if part in slices:
                name = f"{judged.name}, {part} {short.replace('@', ' at ')}"
                found.append(_figure(name, "share", slices[part][metric]))
    return found


def of_city(regrets: Mapping[str, Regret]) -> list[Figure]:
    """Regrets on the simulated city, and what users made of what they were shown."""
    found = []
    for name, regret in regrets.items():
        found.append(_figure(f"city, {name}, regret of the first", "utility", regret.first))
        found.append(_figure(f"city, {name}, regret of ten", "utility", regret.of_ten))
        chance = f"city, {name}, chance that the choice is among ten"
        found.append(_figure(chance, "share", regret.chance_in_ten))
        led_to = regret.business
        found.append(_figure(f"city, {name}, click-through", "share", led_to.click_through))
        found.append(_figure(f"city, {name}, conversion", "share", led_to.conversion))
        found.append(_figure(f"city, {name}, rating", "stars", led_to.rating))
        found.append(_figure(f"city, {name}, engagement", "s", led_to.engagement_s))
    return found


def markdown(outcome: Outcome, regrets: Mapping[str, Regret]) -> str:
    """The tables of docs/quality.md."""
    sizes = outcome.verdict.sizes
    heads = [
        f"{part} {short}" if i in (0, 5) else short for i, (part, _, short) in enumerate(COLUMNS)
    ]
    lines = [
        f"{sizes['all']:,} requests, {sizes.get('new', 0):,} of them to places new to their user.",
        "",
        _row(["method", *heads]),
        _row(["---"] * (1 + len(COLUMNS))),
    ]
    for judged in outcome.judged:
        streams = judged.facts.get("streams", True)
        for mode in reversed(modes_of(judged)[: 2 if streams else 1]):
            slices = outcome.verdict.figures(judged, mode)
            cells = [_cell(slices.get(part, {}).get(of), of == NDCG) for part, of, _ in COLUMNS]
            lines.append(_row([_named(judged, mode, streams), *cells]))
    if outcome.ours and outcome.baselines:
        lines += ["", *_slices(outcome)]
    for judged in outcome.ours:
        if not judged.candidates:
            continue
        share = judged.candidates["stream"]
        lines += [
            "",
            f"{judged.name}: the candidate stage lets {share['recall_all']:.3f} of all targets "
            f"through, {share['recall_new']:.3f} of the new ones (stream).",
        ]
    return "\n".join([*lines, "", *_city(regrets)]) + "\n"


def _slices(outcome: Outcome) -> list[str]:
    """Ours beside the best baseline of every slice, streamed."""
    ours, verdict = outcome.ours[0], outcome.verdict
    by_name = {one.name: verdict.figures(one, "stream") for one in outcome.baselines}
    mine = verdict.figures(ours, "stream")
    lines = [
        f"NDCG@10 of {ours.name} (stream) beside the baseline that is best on the slice; what the "
        "slices hold: [evaluation.md](evaluation.md). Differences are paired, request by request.",
        "",
        _row(["slice", "requests", ours.name, "best baseline", "its", "difference"]),
        _row(["---"] * 6),
    ]
    for duel in verdict.duels(ours, outcome.baselines, "stream"):
        its = by_name[duel.baseline][duel.slice][NDCG]
        cells = [_bounded(mine[duel.slice][NDCG], 3), duel.baseline, f"{its.value:.3f}"]
        size = f"{verdict.sizes[duel.slice]:,}"
        lines.append(_row([duel.slice, size, *cells, _bounded(duel.by[NDCG], 3)]))
    return lines


def _city(regrets: Mapping[str, Regret]) -> list[str]:
    lines = [
        "On the simulated city, in utility (1 is e-fold odds of being chosen):",
        "",
        _row(["shown", "regret of the first", "regret of ten", "chance of the choice in ten"]),
        _row(["---"] * 4),
    ]
    for name, regret in regrets.items():
        cells = (regret.first, regret.of_ten, regret.chance_in_ten)
        lines.append(_row([name, *map(_bounded, cells)]))
    lines += [
        "",
        "What its users do who are shown these places, by the true behaviour:",
        "",
        _row(["shown", "click-through", "conversion", "mean rating", "seconds of looking"]),
        _row(["---"] * 5),
    ]
    for name, regret in regrets.items():
        led_to = regret.business
        cells = (led_to.click_through, led_to.conversion, led_to.rating)
        seconds = _bounded(led_to.engagement_s, digits=1)
        lines.append(_row([name, *map(_bounded, cells), seconds]))
    return lines


def _bounded(interval: Interval, digits: int = 2) -> str:
    value, low, high = (f"{x:.{digits}f}" for x in (interval.value, interval.low, interval.high))
    return f"{value} ({low} to {high})"


def _figure(name: str, unit: str, interval: Interval) -> Figure:
    return Figure(name, unit, (interval.low, interval.value, interval.high))


def _named(judged: Judged, mode: str, several: bool) -> str:
    name = f"{judged.name} ({mode})" if several else judged.name
    return f"**{name}**" if judged.ours else name


def _cell(interval: Interval | None, bounds: bool = False) -> str:
    if interval is None:
        return ""
    return _bounded(interval, 3) if bounds else f"{interval.value:.3f}"


def _row(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"
