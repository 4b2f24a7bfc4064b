"""A plan as a person reads it."""

from rich.console import Console
from rich.table import Table

from placestream.capacity.scenario import Outcome
from placestream.capacity.sizing import Plan


def show(made: Plan, outcome: Outcome, held_to: str, console: Console) -> None:
    """Print a plan and what came of its simulation."""
    table = Table(box=None, pad_edge=False)
    for heading in ("part", "number", "cores", "GiB", "disk GiB", "decided by"):
        table.add_column(heading, justify="left" if heading in ("part", "decided by") else "right")
    for part in made.parts:
        amounts = (f"{part.cores:g}", f"{part.gib:,.1f}", f"{part.disk_gib:,.0f}")
        table.add_row(part.name, f"{part.number:,}", *amounts, part.why)
    console.print(table)
    console.print(f"Partitions: {made.partitions}. A month: {made.month:,.0f}.")
    console.print(
        f"Simulated: p50 {outcome.p50_ms:.1f} ms, p99 {outcome.p99_ms:.1f} ms; "
        f"p99 {outcome.lost_one_p99_ms:.1f} ms with one `serve` and one model server fewer."
    )
    console.print(held_to)
    console.print(
        f"A shard fails over in {outcome.failover_s:g} s: {outcome.backlog_events:,.0f} events "
        f"of a worker wait, and are caught up with {outcome.caught_up_s:.1f} s after the loss; "
        f"meanwhile {outcome.degraded_ratio:.1%} of the requests ask for a state that lies on it, "
        "and are answered without."
    )
    for warning in made.warnings:
        console.print(f"Warning: {warning}.")
