"""What a model's answer must hold beside its shapes, so that what follows can build on it.

A model that says something else has failed like one that says nothing: the next step of the ladder
answers (DESIGN.md, D6), and nobody gets a probability of 7.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from inference.model_client import BadModelAnswer

Outputs = Mapping[str, NDArray[Any]]


def want_floats(model: str, outputs: Outputs, *names: str) -> None:
    """Want floats; strings have no order, and unsigned numbers no negative.

    Raises:
        BadModelAnswer: names the output.
    """
    for name in names:
        if outputs[name].dtype.kind != "f":
            raise BadModelAnswer(model, f"output {name!r} holds {outputs[name].dtype}, not floats")


def want_shares(model: str, outputs: Outputs, name: str) -> None:
    """Want floats from 0 to 1.

    Raises:
        BadModelAnswer: names the output.
    """
    want_floats(model, outputs, name)
    values = outputs[name]
    if len(values) and (values.min() < 0 or values.max() > 1):
        raise BadModelAnswer(model, f"output {name!r} holds values that lie not within 0 and 1")


def want_positions(model: str, outputs: Outputs, name: str, beside: str, most: int) -> None:
    """Want positions below `most`, int[1, k], as many as another output [1, k, ...] has rows.

    Raises:
        BadModelAnswer: names the output.
    """
    at, rows = outputs[name], outputs[beside]
    if at.dtype.kind not in "iu":
        raise BadModelAnswer(model, f"output {name!r} holds {at.dtype}, not whole numbers")
    if at.shape[1] != rows.shape[1]:
        raise BadModelAnswer(
            model, f"output {name!r} has {at.shape[1]} values, {beside!r} {rows.shape[1]} rows"
        )
    if at.size and not (np.min(at) >= 0 and np.max(at) < most):
        raise BadModelAnswer(model, f"output {name!r} holds positions outside of the {most} places")
