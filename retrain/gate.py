"""Whether a new pair may go into service: pure judgement on held-out metrics, also by slice."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from contracts.settings import Settings
from models.comparison import AUC, NDCG, OVERALL, Comparison


@dataclass(frozen=True)
class Limits:
    """What a new pair must reach.

    Attributes:
        auc_loss: how much AUC it may lose against the pair in service. Two trainings on the same
            data differ by about this much. One step is judged, not their sum: what is promoted is
            what the next pair is compared with, so that small losses may add up unseen here.
        ndcg_loss: the same for NDCG@10, which fluctuates more.
        slice_loss: NDCG@10 that may be lost on a slice of the requests; a loss counts when the
            whole interval of the difference lies below it, since slices are small.
        least_auc: below this it has learned nothing worth serving, whatever is in service.
    """

    auc_loss: float = 0.01
    ndcg_loss: float = 0.02
    slice_loss: float = 0.02
    least_auc: float = 0.55

    @classmethod
    def of(cls, settings: Settings) -> "Limits":
        """As the installation is set."""
        return cls(
            auc_loss=settings.gate_auc_loss,
            ndcg_loss=settings.gate_ndcg_loss,
            slice_loss=settings.gate_slice_loss,
        )


@dataclass(frozen=True)
class Verdict:
    """Passed or not, and why.

    Attributes:
        passed: whether it may go into service.
        note: why, for a person.
        failed: what it failed by, in the shape of docs/retraining.md.
    """

    passed: bool
    note: str
    failed: tuple[Mapping[str, Any], ...] = ()


def judge(
    new: Mapping[str, float],
    in_service: Mapping[str, float] | None,
    limits: Limits = Limits(),
    comparisons: Sequence[Comparison] = (),
) -> Verdict:
    """Compare two pairs on the same held-out data.

    Args:
        new: metrics of the new pair.
        in_service: metrics of the pair in service on the same rows; None if there is none, or
            none that can be scored (its features are others), and only sanity counts.
        limits: what is asked for.
        comparisons: of both pairs on the same requests, overall and by slice.
    """
    if not all(math.isfinite(new.get(name, math.nan)) for name in (AUC, NDCG)):
        return _refused("its held-out metrics are not finite numbers", AUC, new)
    if new[AUC] < limits.least_auc:
        return _refused(f"AUC {new[AUC]:.4f} is below {limits.least_auc}", AUC, new)
    if in_service is None:
        return Verdict(True, f"AUC {new[AUC]:.4f}; nothing in service to compare with")
    for name, loss in ((AUC, limits.auc_loss), (NDCG, limits.ndcg_loss)):
        if not new[name] >= in_service[name] - loss:
            return _refused(
                f"{name} {new[name]:.4f} against {in_service[name]:.4f} in service "
                f"loses more than {loss}{_surely(comparisons, name)}",
                name,
                new,
                in_service,
            )
    if lost := [part for part in comparisons if _is_lost(part, limits)]:
        note = "; ".join(_told(part, limits) for part in lost)
        return Verdict(False, note, tuple(part.told() for part in lost))
    return Verdict(
        True,
        f"AUC {new[AUC]:.4f} against {in_service[AUC]:.4f} in service on the same rows"
        f"{_surely(comparisons, AUC)}{_surely(comparisons, NDCG)}",
    )


def _is_lost(part: Comparison, limits: Limits) -> bool:
    """A slice that loses more than it may, surely; overall the mean itself has been judged."""
    return part.part != OVERALL and part.difference.high < -limits.slice_loss


def _told(part: Comparison, limits: Limits) -> str:
    return (
        f"{part.name}: NDCG@10 {part.new:.4f} against {part.in_service:.4f} in service, difference "
        f"{_interval(part)} over {part.users} users, loses more than {limits.slice_loss}"
    )


def _surely(comparisons: Sequence[Comparison], metric: str) -> str:
    overall = [part for part in comparisons if part.part == OVERALL and part.metric == metric]
    name = {AUC: "AUC", NDCG: "NDCG@10"}[metric]
    return "".join(f"; {name} differs by {_interval(part)}" for part in overall)


def _interval(part: Comparison) -> str:
    d = part.difference
    return f"{d.value:+.4f} [{d.low:+.4f}, {d.high:+.4f}]"


def _refused(
    note: str,
    metric: str,
    new: Mapping[str, float],
    in_service: Mapping[str, float] | None = None,
) -> Verdict:
    failed = {"part": OVERALL, "slice": OVERALL, "metric": metric}
    values = {"new": new.get(metric), "in_service": (in_service or {}).get(metric)}
    finite = {k: v for k, v in values.items() if v is not None and math.isfinite(v)}
    return Verdict(False, note, (failed | finite,))
