"""A training in a process of its own: the daemon stays awake, and its memory goes when it ends."""

import multiprocessing
import os
import signal
import threading
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from typing import Any

from contracts.settings import Settings

#: A trainer yields to whatever answers users on the same machine.
NICE = 5
_REAP_S = 5.0
#: Fencing token of the trainer that this process works for; 0: nobody's child, and not fenced.
FENCE: ContextVar[int] = ContextVar("fence", default=0)


@dataclass(frozen=True)
class Trained:
    """What came of a training.

    Attributes:
        version: of the exported pair; None if it was not good enough to be exported.
        metrics: held-out metrics of the new pair.
        note: why it was rejected, or how it compares, for a person.
        evidence: the same for a program, as JSON can say it; see docs/retraining.md.
    """

    version: int | None
    metrics: dict[str, float] = field(default_factory=dict)
    note: str = ""
    evidence: dict[str, Any] = field(default_factory=dict)


#: Trains, judges and exports, given the audit id of the request; runs in the child, so it is a
#: function that can be imported.
Trainer = Callable[[Settings, str], Trained]


class TrainingFailed(RuntimeError):
    """The child raised, or died."""


def nothing_to_prepare(_: Settings) -> None:
    """Leave the child as it starts."""


class TrainingProcess:
    """One child at work.

    `spawn`, not `fork`: threads of gRPC, librdkafka and TensorFlow do not survive a fork.

    Args:
        trainer: what it does.
        settings, audit_id: what it is given.
        prepare: called first in the child, e.g. to configure its logs; importable too.
        fence: token of the lease that the work is done under; `FENCE` in the child.
    """

    def __init__(
        self,
        trainer: Trainer,
        settings: Settings,
        audit_id: str,
        prepare: Callable[[Settings], None] = nothing_to_prepare,
        fence: int = 0,
    ) -> None:
        context = multiprocessing.get_context("spawn")
        self._result, answer = context.Pipe(duplex=False)
        self._process = context.Process(
            target=_train,
            args=(trainer, settings, audit_id, prepare, answer, fence),
            name="retrain-training",
            daemon=True,
        )
        self._process.start()
        answer.close()

    @property
    def pid(self) -> int | None:
        """Its process id."""
        return self._process.pid

    def wait(self, timeout_s: float) -> Trained | None:
        """What came of it, or None if it is still at work after so long.

        Raises:
            TrainingFailed: it raised (with its words) or died (with its exit code).
        """
        if not self._result.poll(timeout_s):
            return None
        try:
            answer: Trained | str = self._result.recv()
        except EOFError:
            self._process.join()
            raise TrainingFailed(f"the training died, exit code {self._process.exitcode}") from None
        self._process.join(_REAP_S)
        if isinstance(answer, str):
            raise TrainingFailed(answer)
        return answer

    def stop(self) -> None:
        """End it, if it has not ended."""
        self._process.kill()
        self._process.join()
        self._result.close()


def _train(
    trainer: Trainer,
    settings: Settings,
    audit_id: str,
    prepare: Callable[[Settings], None],
    answer: Connection,
    fence: int,
) -> None:
    FENCE.set(fence)
    # Signals to the whole group are for the daemon, which ends its child itself: a child that
    # died first would make a stopped training look like a failed one.
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
    die_with_parent()
    os.nice(NICE)
    prepare(settings)
    result: Trained | str
    try:
        result = trainer(settings, audit_id)
    except Exception as error:
        result = f"{type(error).__name__}: {error}"
        answer.send(result)
        raise  # the traceback goes to the log
    answer.send(result)


def die_with_parent() -> None:
    """End this child as soon as its parent has ended, however that came.

    A trainer whose daemon was killed must not export into the next one's work.
    """
    threading.Thread(target=_outlive_nobody, name="watch-parent", daemon=True).start()


def _outlive_nobody() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)
