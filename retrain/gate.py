"""Whether a new pair may go into service: pure judgement on held-out metrics."""

import math
from collections.abc import Mapping
from dataclasses import dataclass

AUC, NDCG = "auc", "ndcg_at_10"


@dataclass(frozen=True)
class Limits:
    """What a new pair must reach.

    Attributes:
        auc_loss: how much AUC it may lose against the pair in service. Two trainings on the same
            data differ by about this much; a real loss is larger or adds up and is caught then.
        ndcg_loss: the same for NDCG@10, which fluctuates more.
        least_auc: below this it has learned nothing worth serving, whatever is in service.
    """

    auc_loss: float = 0.01
    ndcg_loss: float = 0.02
    least_auc: float = 0.55


@dataclass(frozen=True)
class Verdict:
    """Passed or not, and why, for a person."""

    passed: bool
    note: str


def judge(
    new: Mapping[str, float],
    in_service: Mapping[str, float] | None,
    limits: Limits = Limits(),
) -> Verdict:
    """Compare two pairs on the same held-out data.

    Args:
        new: metrics of the new pair.
        in_service: metrics of the pair in service on the same rows; None if there is none, or
            none that can be scored (its features are others), and only sanity counts.
        limits: what is asked for.
    """
    if not all(math.isfinite(new.get(name, math.nan)) for name in (AUC, NDCG)):
        return Verdict(False, "its held-out metrics are not finite numbers")
    if new[AUC] < limits.least_auc:
        return Verdict(False, f"AUC {new[AUC]:.4f} is below {limits.least_auc}")
    if in_service is None:
        return Verdict(True, f"AUC {new[AUC]:.4f}; nothing in service to compare with")
    for name, loss in ((AUC, limits.auc_loss), (NDCG, limits.ndcg_loss)):
        if not new[name] >= in_service[name] - loss:
            return Verdict(
                False,
                f"{name} {new[name]:.4f} against {in_service[name]:.4f} in service "
                f"loses more than {loss}",
            )
    return Verdict(
        True, f"AUC {new[AUC]:.4f} against {in_service[AUC]:.4f} in service on the same rows"
    )
