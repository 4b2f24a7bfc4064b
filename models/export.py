"""Export of a pair of models as SavedModels: whole or not at all, and only if they work.

Both are written to a hidden directory, loaded again and asked there, and only then renamed to
`<models_dir>/<name>/<version>`. Two renames are not one: a crash between them leaves half a pair,
which no configuration mentions and whose number is not used again.
"""

import json
import shutil
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import structlog
import tensorflow as tf

from contracts.signatures import BY_STRING, VECTORS, features_mark
from models.candidates import CandidateModel, candidate_signature, vector_signature
from models.holdout import Inputs
from models.ranking_model import RankingModel, ranker_signature
from models.reference import Reference
from models.reference_file import write_reference
from models.scoring import CANDIDATES, CARD, RANKER, next_version
from models.string_ids import StringIds, as_strings, told_as_strings
from models.warmup import write_warmup
from online_features.catalogue import Catalogue

log = structlog.get_logger(__name__)
DEFAULT = "serving_default"
#: Type and rank of each output, by its name.
Outputs = Mapping[str, tuple[Any, int]]
#: Of the signature that a model answers by default.
OUTPUTS: dict[str, Outputs] = {
    CANDIDATES: {"scores": (tf.float32, 2), "best": (tf.int32, 2), "parts": (tf.float32, 3)},
    RANKER: {"probability": (tf.float32, 1), "score": (tf.float32, 1)},
}
_PLACED: Outputs = {VECTORS: (tf.float32, 2)}


class NotExportable(ValueError):
    """A model that must not reach a server; the message says what is wrong with it."""


@dataclass(frozen=True)
class Signature:
    """One thing that a model can be asked.

    Attributes:
        name: in the SavedModel.
        method: of the module, that answers.
        takes: types of its inputs.
        gives: what it must answer.
        calls: real inputs by name; they check the export, and, made to be about nobody, warm the
            server.
    """

    name: str
    method: str
    takes: Sequence[Any]
    gives: Outputs
    calls: Sequence[Inputs]

    def by_string(self, catalogue: Catalogue) -> "Signature":
        """The same, with ids as strings."""
        calls = [told_as_strings(call, catalogue) for call in self.calls[:1]]
        return replace(self, name=BY_STRING, takes=as_strings(self.takes), calls=calls)


@dataclass(frozen=True)
class Exportable:
    """One model of a pair.

    Attributes:
        name: "candidates" or "ranker".
        module: a `tf.Module`.
        strings: makes hashes of ids that come as strings.
        signatures: what it can be asked.
        users_known: persons of whom its graph holds something of their own; the card says it, and
            `placestream.erase.in_models` reads it there.
    """

    name: str
    module: Any
    strings: StringIds
    signatures: Sequence[Signature]
    users_known: int

    def function(self, signature: Signature) -> Any:
        """What answers a signature, with its inputs by name."""
        method = getattr(self.module, signature.method)

        def asked(**inputs: Any) -> Any:
            return method(
                **{
                    name: self.strings(values) if values.dtype == tf.string else values
                    for name, values in inputs.items()
                }
            )

        named = {spec.name: spec for spec in signature.takes}
        return tf.function(asked, autograph=False).get_concrete_function(**named)


def exportables(
    candidates: CandidateModel,
    ranker: RankingModel,
    candidate_calls: Sequence[Inputs],
    ranker_calls: Sequence[Inputs],
    catalogue: Catalogue,
) -> tuple[Exportable, Exportable]:
    """Both models of a pair, of the places of a catalogue."""
    strings = StringIds.of(catalogue)
    places = [{"place_ids": call["place_ids"][0]} for call in candidate_calls[:1]]
    scores = Signature(
        DEFAULT, "serve", candidate_signature(), OUTPUTS[CANDIDATES], candidate_calls
    )
    vectors = Signature(VECTORS, "vectors", vector_signature(), _PLACED, places)
    ranks = Signature(DEFAULT, "serve", ranker_signature(), OUTPUTS[RANKER], ranker_calls)
    stages = (scores, vectors, scores.by_string(catalogue))
    ranked = (ranks, ranks.by_string(catalogue))
    return (
        # The signature of the candidate stage takes no user: none of its models can know one.
        Exportable(CANDIDATES, candidates, strings, stages, users_known=0),
        Exportable(RANKER, ranker, strings, ranked, users_known=ranker.users_known),
    )


def export(
    pair: Sequence[Exportable],
    card: dict[str, Any],
    models_dir: Path,
    reference: Reference | None = None,
) -> int:
    """Export a pair under one new version, and return it.

    Args:
        pair: both models.
        card: what placestream.json says; `version`, `model`, and what is known of each model once
            it is written are added.
        models_dir: root of the SavedModels.
        reference: written beside the ranker, to judge drift by.

    Raises:
        NotExportable: weights or answers are not finite, or the signature is not the promised
            one. Nothing is left behind.
    """
    for model in pair:
        _check_weights(model)
    models_dir.mkdir(parents=True, exist_ok=True)
    version = next_version(models_dir)
    workshop = Path(tempfile.mkdtemp(prefix=".export-", dir=models_dir))
    try:
        for model in pair:
            _write(model, workshop / model.name, card | {"version": version, "model": model.name})
        if reference is not None:
            write_reference(reference, workshop / RANKER)
        put_in_place(workshop, [model.name for model in pair], models_dir, version)
    finally:
        shutil.rmtree(workshop, ignore_errors=True)
    return version


def put_in_place(workshop: Path, names: Sequence[str], models_dir: Path, version: int) -> None:
    """Rename whole models out of the workshop to where a server may look for them.

    Raises:
        OSError: the version is there already: somebody else exported at the same time.
    """
    for name in names:
        target = models_dir / name / str(version)
        target.parent.mkdir(exist_ok=True)
        (workshop / name).rename(target)


def _write(model: Exportable, directory: Path, card: dict[str, Any]) -> None:
    functions = {s.name: model.function(s) for s in model.signatures}
    mark = features_mark(card["columns"], card["feature_set"])
    root = tf.Module()
    root.model, root.strings = model.module, model.strings
    tf.saved_model.save(root, str(directory), signatures=functions | {mark: functions[DEFAULT]})
    load_s = _check_saved(model, functions, directory)
    size_mb = sum(f.stat().st_size for f in directory.rglob("*") if f.is_file()) / 1e6
    # tempfile's directories are private; the server may be another user.
    directory.chmod(0o755)
    write_warmup(directory, model.name, {s.name: s.calls for s in model.signatures})
    facts = {
        "size_mb": round(size_mb, 3),
        "load_s": round(load_s, 3),
        "users_known": model.users_known,
    }
    (directory / CARD).write_text(json.dumps(card | facts, indent=1, allow_nan=False))
    log.info("model_written", model=model.name, version=card["version"], **facts)


def _check_weights(model: Exportable) -> None:
    for variable in model.module.variables:
        values = variable.numpy()
        if np.issubdtype(values.dtype, np.floating) and not np.isfinite(values).all():
            raise NotExportable(f"{model.name}: {variable.name} {values.shape} is not finite")


def _check_saved(model: Exportable, functions: Mapping[str, Any], directory: Path) -> float:
    """Load what was written, ask it what the original is asked, and return the seconds to load."""
    began = time.perf_counter()
    loaded = tf.saved_model.load(str(directory))
    load_s = time.perf_counter() - began
    for signature in model.signatures:
        saved = loaded.signatures[signature.name]
        _check_signature(model.name, signature, saved)
        if not signature.calls:
            raise NotExportable(f"{model.name}: there is nothing to check it with")
        for call in signature.calls:
            tensors = {name: tf.constant(values) for name, values in call.items()}
            _check_answer(model.name, saved(**tensors), functions[signature.name](**tensors))
    return load_s


def _check_answer(model: str, answer: Mapping[str, Any], expected: Mapping[str, Any]) -> None:
    for name, tensor in answer.items():
        values = tensor.numpy()
        if not np.isfinite(values).all():
            raise NotExportable(f"{model}: output {name!r} is not finite")
        if not np.allclose(values, expected[name].numpy(), rtol=1e-4, atol=1e-5):
            raise NotExportable(f"{model}: {name!r} changed on the way to disk")


def _check_signature(model: str, signature: Signature, saved: Any) -> None:
    wanted = {spec.name: (spec.dtype, spec.shape.rank) for spec in signature.takes}
    takes = saved.structured_input_signature[1]
    found = {name: (spec.dtype, spec.shape.rank) for name, spec in takes.items()}
    if found != wanted:
        raise NotExportable(f"{model}: inputs {found}, promised were {wanted}")
    gives = saved.structured_outputs
    found = {name: (spec.dtype, spec.shape.rank) for name, spec in gives.items()}
    if found != signature.gives:
        raise NotExportable(f"{model}: outputs {found}, promised were {signature.gives}")
