"""A reference as a file beside its ranker: plain arrays, no code in it."""

from pathlib import Path
from typing import Any

import numpy as np

from models.embedding import Embedding
from models.likeness import Likeness
from models.reference import FILE, Reference
from models.rhythm import Swing
from models.targets import Targets


def write_reference(reference: Reference, directory: Path) -> None:
    """Write it into a version's directory, which holds `assets.extra` already."""
    embedding = reference.embedding
    np.savez_compressed(
        directory / FILE,
        allow_pickle=False,
        columns=np.array(reference.columns),
        edges=reference.edges,
        shares_beta=reference.shares.beta.astype(np.float32),
        spread=reference.shares.spread,
        within=reference.likeness.within,
        between=reference.likeness.between,
        embedding_mean=embedding.mean,
        embedding_std=embedding.std,
        embedding_weights=embedding.weights,
        embedding_beta=embedding.swing.beta.astype(np.float32),
        embedding_residuals=embedding.residuals.astype(np.float16),
        embedding_within=reference.embedding_likeness.within,
        embedding_between=reference.embedding_likeness.between,
        error_beta=reference.error.beta,
        error_spread=reference.error.spread,
        offset_s=reference.offset_s,
        answers=reference.answers,
        crowding=reference.crowding,
        **({} if reference.kept is None else {"kept": reference.kept}),
        **_told(reference.targets),
    )


def _told(targets: Targets | None) -> dict[str, Any]:
    if targets is None:
        return {}
    return {
        "target_edges": targets.edges,
        "target_ratio": targets.ratio,
        "target_within": targets.likeness.within,
        "target_between": targets.likeness.between,
        "target_answers": targets.answers,
        "target_crowding": targets.crowding,
    }


def _targets(saved: Any) -> Targets | None:
    """References of earlier versions, and of trainings that foresaw no choice, have none."""
    if "target_edges" not in saved:
        return None
    targets = Targets(
        edges=saved["target_edges"],
        ratio=saved["target_ratio"],
        likeness=Likeness(saved["target_within"], saved["target_between"]),
        answers=int(saved["target_answers"]),
        crowding=float(saved["target_crowding"]),
    )
    if targets.ratio.shape != (targets.bands,):
        raise ValueError("bands and rates of the targets do not fit together")
    return targets


def read_reference(directory: Path) -> Reference:
    """Read the reference of a version.

    Raises:
        OSError: the file is not there, or cannot be read.
        ValueError: it is not a reference; a missing array is a KeyError.
    """
    with np.load(directory / FILE, allow_pickle=False) as saved:
        spread = saved["spread"]
        reference = Reference(
            columns=tuple(saved["columns"].tolist()),
            edges=saved["edges"],
            shares=Swing(saved["shares_beta"].astype(np.float64), spread),
            likeness=Likeness(saved["within"], saved["between"]),
            embedding=Embedding(
                saved["embedding_mean"],
                saved["embedding_std"],
                saved["embedding_weights"],
                Swing(saved["embedding_beta"].astype(np.float64), spread),
                saved["embedding_residuals"].astype(np.float32),
            ),
            embedding_likeness=Likeness(saved["embedding_within"], saved["embedding_between"]),
            error=Swing(saved["error_beta"], saved["error_spread"]),
            offset_s=float(saved["offset_s"]),
            answers=int(saved["answers"]),
            crowding=float(saved["crowding"]),
            targets=_targets(saved),
            kept=saved.get("kept"),
        )
    columns = len(reference.columns)
    if reference.shares.beta.shape != (len(spread), columns * reference.bins):
        raise ValueError("columns, edges and shares do not fit together")
    return reference
