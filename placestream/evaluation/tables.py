"""The report for the eye."""

from rich.console import Console
from rich.table import Table

from models.quality.metrics import NDCG
from placestream.evaluation.judged import Duel, Judged, Verdict, modes_of
from placestream.evaluation.next_place import Outcome

_ALL = ("recall_at_5", "recall_at_10", "recall_at_20", NDCG, "mrr")
_DISCOVER = ("recall_at_5", "recall_at_10", "recall_at_20", "recall_at_100", NDCG, "mrr")
_SHORT = {NDCG: "NDCG@10", "mrr": "MRR"}


def show(outcome: Outcome, console: Console) -> None:
    """Print what was found, best known mode first."""
    verdict = outcome.verdict
    sizes = verdict.sizes
    console.print(
        f"{sizes['all']:,} requests, {sizes.get('new', 0):,} to places new to their user",
        style="bold",
    )
    console.print(overview(outcome))
    for judged in outcome.ours:
        for mode, share in judged.candidates.items():
            console.print(
                f"{judged.name}, {mode}: the candidate stage lets {share['recall_all']:.3f} of all "
                f"targets through, {share['recall_new']:.3f} of the new ones",
                highlight=False,
            )
    if outcome.ours and outcome.baselines:
        console.print(slices(verdict, outcome.ours[0], outcome.baselines))


def overview(outcome: Outcome) -> Table:
    """One line for each contestant and mode."""
    table = Table(title="next place, from here, now")
    table.add_column("method", no_wrap=True)
    for title, metrics in (("all", _ALL), ("discover", _DISCOVER)):
        for metric in metrics:
            table.add_column(
                f"{title} {_short(metric)}",
                justify="right",
                min_width=len(max(title, _short(metric), key=len)),
            )
    for judged in outcome.judged:
        # Those that do not stream rank alike in both modes.
        modes = modes_of(judged) if judged.facts.get("streams", True) else modes_of(judged)[:1]
        for mode in reversed(modes):
            figures = outcome.verdict.figures(judged, mode)
            cells = [f"{figures['all'][metric].value:.3f}" for metric in _ALL]
            if "discover" in figures:
                cells += [f"{figures['discover'][metric].value:.3f}" for metric in _DISCOVER]
            note = f" ({mode})" if len(modes) > 1 else ""
            table.add_row(judged.name + note, *cells, style="bold" if judged.ours else "")
    return table


def slices(verdict: Verdict, ours: Judged, baselines: list[Judged]) -> Table:
    """Ours against the best baseline of every slice, streamed, with 95 % intervals."""
    table = Table(title=f"{ours.name} against the best baseline of each slice, stream, NDCG@10")
    for column in (
        "slice",
        "requests",
        "ours",
        "95 %",
        "best baseline",
        "ours is higher by",
        "95 %",
    ):
        left = column in ("slice", "best baseline")
        table.add_column(column, justify="left" if left else "right")
    figures = verdict.figures(ours, "stream")
    for duel in verdict.duels(ours, baselines, "stream"):
        own = figures[duel.slice][NDCG]
        table.add_row(
            duel.slice,
            f"{verdict.sizes[duel.slice]:,}",
            f"{own.value:.3f}",
            f"{own.low:.3f} to {own.high:.3f}",
            duel.baseline,
            *_apart(duel),
        )
    return table


def _apart(duel: Duel) -> tuple[str, str]:
    by = duel.by[NDCG]
    style = "green" if by.low > 0 else "red" if by.high < 0 else "yellow"
    return f"[{style}]{by.value:+.3f}[/]", f"{by.low:+.3f} to {by.high:+.3f}"


def _short(metric: str) -> str:
    return _SHORT.get(metric, metric.replace("recall_at_", "R@"))
