"""A model's signature as MLflow states it: the MLmodel file beside a SavedModel's copy."""

from pathlib import Path
from typing import Any

import yaml

from models.candidates import candidate_signature
from models.export import OUTPUTS
from models.ranking_model import ranker_signature
from models.scoring import CANDIDATES, RANKER

_SIGNATURES = {CANDIDATES: candidate_signature, RANKER: ranker_signature}


def mlmodel_of(model: str, run_id: str) -> dict[str, Any]:
    """The MLmodel file of "candidates" or "ranker" within a run."""
    from mlflow.models import Model

    described = Model(
        artifact_path=model,
        run_id=run_id,
        signature=signature_of(model),
        flavors={"tensorflow": {"saved_model_dir": ".", "model_type": "tf2-module"}},
    )
    told: dict[str, Any] = described.to_dict()
    return told


def signature_of(model: str) -> Any:
    """Inputs and outputs of a model by name, with types and shapes, -1 for any length."""
    import numpy as np
    from mlflow.models import ModelSignature
    from mlflow.types import Schema, TensorSpec

    takes: list[Any] = [
        TensorSpec(np.dtype(s.dtype.as_numpy_dtype), _shape(s.shape), s.name)
        for s in _SIGNATURES[model]()
    ]
    gives: list[Any] = [
        TensorSpec(np.dtype(kind.as_numpy_dtype), (-1,) * rank, name)
        for name, (kind, rank) in OUTPUTS[model].items()
    ]
    return ModelSignature(Schema(takes), Schema(gives))


def write_mlmodel(model: str, run_id: str, folder: Path) -> Path:
    """Write the MLmodel file into a folder, and return its path."""
    path = folder / "MLmodel"
    path.write_text(yaml.safe_dump(mlmodel_of(model, run_id), sort_keys=False))
    return path


def _shape(shape: Any) -> tuple[int, ...]:
    return tuple(-1 if n is None else int(n) for n in shape)
