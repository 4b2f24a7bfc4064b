"""Trainers that take no time, for the paths around a training; a child can import them."""

import os
import signal
import time
from pathlib import Path

from contracts.settings import Settings
from retrain.child import Trained

METRICS = {"auc": 0.8, "ndcg_at_10": 0.4}


def _count(settings: Settings) -> int:
    """How many trainings have begun, this one included; the models' folder keeps the count."""
    settings.models_dir.mkdir(parents=True, exist_ok=True)
    path: Path = settings.models_dir / "trainings"
    with path.open("a") as file:
        file.write("x")
    return path.stat().st_size


def trainings(settings: Settings) -> int:
    """How many trainings have begun."""
    path = settings.models_dir / "trainings"
    return path.stat().st_size if path.exists() else 0


def exports(settings: Settings, audit_id: str) -> Trained:
    """The n-th training exports version n."""
    return Trained(_count(settings), METRICS, "good")


def rejects(settings: Settings, audit_id: str) -> Trained:
    """Nothing good came of it."""
    _count(settings)
    return Trained(None, METRICS, "worse than the one in service")


def waits_for_leave(settings: Settings, audit_id: str) -> Trained:
    """Ends, with nothing good, when `give_leave` was called."""
    _count(settings)
    while not (settings.models_dir / "leave").exists():
        time.sleep(0.05)
    return Trained(None, METRICS, "worse than the one in service")


def give_leave(settings: Settings) -> None:
    """Let trainings that wait for it end."""
    (settings.models_dir / "leave").touch()


def raises(settings: Settings, audit_id: str) -> Trained:
    """It fails."""
    _count(settings)
    raise ArithmeticError("the loss is not finite")


def dies(settings: Settings, audit_id: str) -> Trained:
    """It is killed, as for want of memory."""
    _count(settings)
    os.kill(os.getpid(), signal.SIGKILL)
    raise AssertionError("unreachable")


def hangs_once(settings: Settings, audit_id: str) -> Trained:
    """The first training never ends; later ones export."""
    number = _count(settings)
    while number == 1:
        time.sleep(0.05)
    return Trained(number, METRICS, "good")


def hangs(settings: Settings, audit_id: str) -> Trained:
    """No training ever ends."""
    _count(settings)
    while True:
        time.sleep(0.05)


def hangs_once_with_pid(settings: Settings, audit_id: str) -> Trained:
    """The first training never ends, and leaves its process id; later ones export."""
    if not trainings(settings):
        (settings.models_dir / "pid").write_text(str(os.getpid()))
    return hangs_once(settings, audit_id)


def refuses_the_data(settings: Settings, audit_id: str) -> Trained:
    """The archive is not fit to learn from."""
    _count(settings)
    failed = [{"check": "interactions.rating.range", "reason": "81.6, asked for 1 to 5"}]
    evidence = {"refused_by": "data", "failed": failed, "report": "reports/audit-1"}
    return Trained(None, {}, "not fit", evidence)


def passes_the_gate(settings: Settings, audit_id: str) -> Trained:
    """Version 2, exported before: on held-out data a little better than the one in service."""
    # It brings TensorFlow, for which each child would need seconds.
    from retrain.gate import Limits, judge

    new, old = {"auc": 0.81, "ndcg_at_10": 0.41}, METRICS
    verdict = judge(new, old, Limits.of(settings))
    assert verdict.passed
    return Trained(2, new, verdict.note)
