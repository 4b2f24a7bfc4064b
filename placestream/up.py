"""`placestream up`: the whole stack on this machine, until a signal ends it."""

from collections.abc import Mapping, Sequence
from pathlib import Path

from rich.console import Console
from rich.table import Table

from contracts.settings import Settings
from placestream.console.address import address
from placestream.stack.broker import BrokerKind
from placestream.stack.local import LocalStack
from placestream.stack.signals import ending_raises

#: In the order of their start: each finds there what it needs.
ROLES = ("stream", "model-server", "serve", "retrain", "console")
NOTHING: Mapping[str, str] = {}


def run(
    settings: Settings,
    *,
    run_dir: Path,
    broker: BrokerKind,
    roles: Sequence[str],
    console: Console,
) -> None:
    """Start servers, topics and roles; print where they are; stay until a signal comes.

    Raises:
        Ended: the signal; everything has been stopped by then.
        ChildDied: a process ended that nobody asked to; the others have been stopped.
        AlreadyRunning, KafkaUnavailable, RedisUnavailable, StartError: it cannot start.
    """
    stack = LocalStack(run_dir, broker, aof=True, base=settings, usual_ports=True)
    with ending_raises(), stack:
        stack.start_servers()
        stack.create_topics()
        for role in roles:
            # `serve` waits for models, and there may be none yet: do not wait for it.
            stack.start_role(role, wait=role != "serve")
        console.print(addresses(stack.settings, stack.run_dir, roles))
        if "console" in roles:
            show_console(stack.settings, console)
        stack.supervisor.wait()


def show_console(settings: Settings, console: Console, scene: Mapping[str, str] = NOTHING) -> None:
    """Print the address of the console's page, whole: what is cut or wrapped cannot be clicked."""
    console.print("\n[bold]The console, for a browser on this machine:")
    console.out(address(settings, scene=scene), highlight=False)


def addresses(settings: Settings, run_dir: Path, roles: Sequence[str]) -> Table:
    """Return a table of where to reach what runs."""
    services = {
        "serve": ("recommendations (gRPC)", f"{settings.serve_host}:{settings.serve_port}"),
        "model-server": ("model server (gRPC)", settings.model_server),
    }
    metrics = {
        "stream": f"http://127.0.0.1:{settings.stream_metrics_port}/metrics",
        "serve": f"http://127.0.0.1:{settings.serve_metrics_port}/metrics",
        "model-server": (
            f"http://127.0.0.1:{settings.model_server_rest_port}/monitoring/prometheus/metrics"
        ),
        "retrain": f"http://127.0.0.1:{settings.retrain_metrics_port}/metrics",
    }
    rows = {
        "Kafka": settings.kafka_bootstrap,
        "Redis": settings.redis_url.get_secret_value(),
        **{name: address for role, (name, address) in services.items() if role in roles},
        **{f"metrics of {role}": metrics[role] for role in roles if role in metrics},
        "logs": str(run_dir / "logs"),
        "settings for a shell": f". {run_dir / 'env'}",
        "stop": "Ctrl-C",
    }
    table = Table(box=None, show_header=False, pad_edge=False)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ignore")  # to be copied whole
    for name, value in rows.items():
        table.add_row(f"[dim]{name}", value)
    return table
