"""The report of an evaluation as a page, from the same values as its JSON."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from models.bootstrap import Interval
from models.fitting import Epoch
from models.importance import Importance
from models.plots import recall_curves
from models.quality.metrics import NDCG, RECALLS
from models.report.charts import Chart, Row, Section, Table, bars, tone
from models.report.page import Page
from models.report.shared import calibrated, coverage, curves, leaned_on
from placestream.evaluation.shown import bins_of, cells_of

Figures = Mapping[str, Mapping[str, float]]
#: A contestant, and its figures on one part.
Told = tuple[Mapping[str, Any], Figures]
_STREAM, _FROZEN = "stream", "frozen"
_BESIDE = ("recall_at_10", "recall_at_20", "mrr")
_CITY_METRICS = ("first", "of_ten", "chance_in_ten", "click_through", "conversion", "rating")


def page_of(report: Mapping[str, Any]) -> Page:
    """The page of a report, whichever protocol.

    Args:
        report: as `placestream evaluate --json` writes it.
    """
    if report["protocol"] == "trajectories":
        return _trajectories(report)
    if report["protocol"] == "simulated city":
        return _city(report)
    return _next_place(report)


def _next_place(report: Mapping[str, Any]) -> Page:
    first, requests = report["contestants"][0], report["requests"]
    figure = first[_mode(first)]["all"][NDCG]
    return Page(
        title=f"Where next? Judged on {report['file']}",
        lead=(
            f"{first['name']}: NDCG@10 {figure['value']:.3f} ({figure['low']:.3f} to "
            f"{figure['high']:.3f}) on {requests['all']:,} requests of the {report['part']} part."
        ),
        facts={
            "check-ins": f"{report['check_ins']:,}",
            "users": f"{report['users']:,}",
            "places": f"{report['places']:,}",
            "trained until": report["trained_until"][:16],
            "judged from": report["judged_from"][:16],
            "requests": f"{requests['all']:,}",
            "to new places": f"{requests.get('new', 0):,}",
            "seed": str(report["seed"]),
        },
        sections=[
            _overview(report, "all", "All requests"),
            *([_overview(report, "discover", "Discovery")] if "discover" in requests else []),
            _slices(first, requests),
            *_duels(report),
            *_of_ours(first),
            _candidates(report),
            _facts(report),
        ],
    )


def _mode(one: Mapping[str, Any]) -> str:
    return _STREAM if _STREAM in one else _FROZEN


def _overview(report: Mapping[str, Any], part: str, title: str) -> Section:
    """Every contestant on one part: a table with bars, and recall by length of the list."""
    told = [(one, one[_mode(one)][part]) for one in report["contestants"]]
    lead = (
        "Every next place, with all places in the ranking."
        if part == "all"
        else "Requests to a place new to its user, with the places that the user knows taken out."
    )
    return Section(
        title, lead, (_methods(told, f"Methods on {title.lower()}"), _recall(told, part))
    )


def _methods(told: Sequence[Told], caption: str) -> Table:
    found = [_interval(figures[NDCG]) for _, figures in told]
    rows = tuple(
        Row(
            (one["name"], f"{it.value:.3f}", _span(it), *(_value(figures[m]) for m in _BESIDE)),
            bar,
            strong=one["ours"],
        )
        for (one, figures), it, bar in zip(told, found, bars(found, zero=None), strict=True)
    )
    return Table(caption, ("method", "", "NDCG@10", "95 %", "R@10", "R@20", "MRR"), rows)


def _recall(told: Sequence[Told], part: str) -> Chart:
    best, figures = max(told, key=lambda row: row[1]["recall_at_10"]["value"])
    lines = {one["name"]: [own[f"recall_at_{k}"]["value"] for k in RECALLS] for one, own in told}
    rows = tuple(Row((name, *(f"{v:.3f}" for v in values))) for name, values in lines.items())
    return Chart(
        f"recall-{part}",
        "Recall by length of the list",
        f"The share of requests whose place is among the first k, for k of {_said(RECALLS)}. At "
        f"ten {best['name']} is highest, with {figures['recall_at_10']['value']:.1%}. "
        "Blue: ours; grey: the others, whose values are in the table.",
        recall_curves(RECALLS, lines, frozenset(one["name"] for one, _ in told if one["ours"])),
        Table("Recall", ("method", *(f"R@{k}" for k in RECALLS)), rows, folded=True),
    )


def _slices(one: Mapping[str, Any], sizes: Mapping[str, int]) -> Section:
    told = one[_mode(one)]
    found = [_interval(figures[NDCG]) for figures in told.values()]
    lines = zip(told, found, bars(found, zero=found[0].value), strict=True)
    rows = tuple(
        Row((name, f"{sizes[name]:,}", f"{it.value:.3f}", _span(it)), bar, strong=name == "all")
        for name, it, bar in lines
    )
    columns = ("slice", "", "requests", "NDCG@10", "95 %")
    return Section(
        f"{one['name']} by slice",
        "Users are resampled whole. What each slice holds: docs/evaluation.md.",
        (Table("NDCG@10 by slice; the dashed line is all requests", columns, rows),),
    )


def _duels(report: Mapping[str, Any]) -> Iterator[Section]:
    for name, by_mode in report["against_the_best_baseline"].items():
        duels = by_mode[_mode(by_mode)]
        found = [_interval(duel["ours_is_higher_by"][NDCG]) for duel in duels]
        lines = zip(duels, found, bars(found, tones=[tone(one) for one in found]), strict=True)
        rows = tuple(
            Row((duel["slice"], duel["baseline"], f"{it.value:+.3f}", _span(it)), bar)
            for duel, it, bar in lines
        )
        columns = ("slice", "", "best baseline", "higher by", "95 %")
        yield Section(
            f"{name} against the best baseline of each slice",
            "Paired, request by request; green and red where the interval excludes 0.",
            (Table("Difference in NDCG@10", columns, rows),),
        )


def _of_ours(one: Mapping[str, Any]) -> Iterator[Section]:
    """Curves, calibration, importance and coverage of the first contestant, if it is ours."""
    if "coverage" not in one:
        return
    yield from curves(
        {name: [Epoch(**e) for e in epochs] for name, epochs in one["curves"].items()}
    )
    yield calibrated(bins_of(one), "All candidates of all requests, streamed.")
    yield leaned_on(
        [Importance(each["name"], _interval(each["loss"])) for each in one["importance"]]
    )
    said = one["coverage"]
    counts = {name: said[name] for name in ("requests", "listed")}
    yield coverage(cells_of(one), said["shown"], said["places"], **counts)


def _candidates(report: Mapping[str, Any]) -> Section:
    says = tuple(
        f"{one['name']}, {mode}: {share['recall_all']:.1%} of all targets are let through, "
        f"{share['recall_new']:.1%} of the new ones."
        for one in report["contestants"]
        for mode, share in one.get("candidates", {}).items()
    )
    lead = "What the candidate stage does not let through cannot be ranked." if says else "None."
    return Section("Candidate stage", lead, says=says)


def _facts(report: Mapping[str, Any]) -> Section:
    """How each was tuned, and how long it took."""
    rows = tuple(
        Row((one["name"], str(one.get("parameters", "")), f"{one.get('seconds', 0):,}"))
        for one in report["contestants"]
    )
    table = Table("Parameters and time", ("method", "parameters", "seconds"), rows, folded=True)
    return Section("How they were made", "Baselines are tuned on the validation part.", (table,))


def _trajectories(report: Mapping[str, Any]) -> Page:
    told = report["contestants"]
    found = [_interval(one["recall_at_1"]) for one in told]
    rows = tuple(
        Row(
            (one["name"], one["level"], *(_value(one[m]) for m in _ACC)),
            bar,
            strong=one["ours"],
        )
        for one, bar in zip(told, bars(found, zero=None), strict=True)
    )
    printed = tuple(
        Row((name, *(f"{values[m]:.3f}" for m in _ACC)))
        for name, values in report["printed"].items()
    )
    titles = ("Acc@1", "Acc@5", "Acc@10", "MRR")
    return Page(
        title=f"Trajectories of {report['file']}",
        lead=f"The last check-in of {report['trajectories_judged']:,} trajectories of 24 h.",
        facts={
            "check-ins": f"{report['check_ins']:,}",
            "users": f"{report['users']:,}",
            "places": f"{report['places']:,}",
            "seed": str(report["seed"]),
        },
        sections=[
            Section(
                "Methods",
                "The bar is Acc@1 with its 95 % interval.",
                (Table("By what may be read", ("method", "", "may read", *titles), rows),),
            ),
            Section(
                "As printed elsewhere", "", (Table("From papers", ("method", *titles), printed),)
            ),
        ],
    )


_ACC = ("recall_at_1", "recall_at_5", "recall_at_10", "mrr")


def _city(report: Mapping[str, Any]) -> Page:
    sections = []
    for metric in _CITY_METRICS:
        told = [one for one in report["shown"] if one[metric]["value"] is not None]
        found = [_interval(one[metric]) for one in told]
        rows = tuple(
            Row(
                (one["name"], f"{it.value:.3f}", _span(it)),
                bar,
                strong=one["name"] == "placestream",
            )
            for one, it, bar in zip(told, found, bars(found, zero=None), strict=True)
        )
        title = _CITY_TITLES[metric]
        sections.append(
            Section(
                title, "", (Table(title, ("shown", "", "value", "95 %"), rows),) if rows else ()
            )
        )
    return Page(
        title="A simulated city",
        lead="What is missed of the best possible, and what people do who are shown these places.",
        facts={name: f"{report[name]:,}" for name in ("users", "places", "days", "seed")},
        sections=sections,
    )


_CITY_TITLES = {
    "first": "Regret of the first place, utility",
    "of_ten": "Regret of ten places, utility",
    "chance_in_ten": "Chance that the choice is among ten",
    "click_through": "Click-through",
    "conversion": "Conversion",
    "rating": "Mean rating",
}


def _interval(figure: Mapping[str, float]) -> Interval:
    return Interval(figure["value"], figure["low"], figure["high"])


def _span(interval: Interval) -> str:
    return f"{interval.low:.3f} to {interval.high:.3f}"


def _value(figure: Mapping[str, float]) -> str:
    return f"{figure['value']:.3f}"


def _said(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))
