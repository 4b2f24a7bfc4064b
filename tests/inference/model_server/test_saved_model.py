"""Versions that cannot be loaded: the status that TensorFlow's C++ loader has for them."""

import ctypes
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import tensorflow as tf
from google.protobuf import text_format
from tensorflow.core.protobuf import saved_model_pb2

from inference.model_server.errors import ServingError
from inference.model_server.servable import Servable
from tests.inference.model_server.conftest import GARBAGE

Status = tuple[int, str]
OK: Status = (0, "")
NO_GRAPH: Status = (
    5,
    "Could not find meta graph def matching supplied tags: { serve }. To inspect available "
    "tag-sets in the SavedModel, please use the SavedModel CLI: `saved_model_cli`",
)


def ours(version: Path) -> Status:
    """The status with which our server loads a version."""
    try:
        Servable(version, 1).close()
    except ServingError as error:
        return error.number, error.message
    return OK


@pytest.fixture(scope="module")
def loader() -> Callable[[Path], Status]:
    """TensorFlow's C++ loader, the one that TF Serving calls, by its C API."""
    libraries = sorted(Path(tf.__file__).parent.glob("libtensorflow_cc*"))
    if not libraries:
        pytest.skip("this TensorFlow has no library of its own")
    library = ctypes.CDLL(str(libraries[0]))
    for name in ("NewStatus", "NewGraph", "NewSessionOptions", "LoadSessionFromSavedModel"):
        getattr(library, f"TF_{name}").restype = ctypes.c_void_p
    library.TF_Message.restype = ctypes.c_char_p

    def load(version: Path) -> Status:
        status = ctypes.c_void_p(library.TF_NewStatus())
        library.TF_LoadSessionFromSavedModel(
            ctypes.c_void_p(library.TF_NewSessionOptions()),
            None,
            str(version).encode(),
            (ctypes.c_char_p * 1)(b"serve"),
            1,
            ctypes.c_void_p(library.TF_NewGraph()),
            None,
            status,
        )
        return library.TF_GetCode(status), library.TF_Message(status).decode()

    return load


@pytest.fixture
def version(multiplier: Callable[[int], Path], tmp_path: Path) -> Path:
    """A copy to damage."""
    return Path(shutil.copytree(multiplier(2), tmp_path / "1"))


def rewrite(version: Path, change: Callable[[bytes], bytes]) -> None:
    """Change the bytes of its graph."""
    file = version / "saved_model.pb"
    file.write_bytes(change(file.read_bytes()))


def as_text(version: Path) -> None:
    """Write its graph as text instead."""
    binary = version / "saved_model.pb"
    text = text_format.MessageToString(saved_model_pb2.SavedModel.FromString(binary.read_bytes()))
    binary.with_suffix(".pbtxt").write_text(text)
    binary.unlink()


def spoil_text(version: Path) -> None:
    """Write something else as text."""
    (version / "saved_model.pb").unlink()
    (version / "saved_model.pbtxt").write_bytes(b"\xff no such: 3")


def tagged(*tags: str) -> Callable[[bytes], bytes]:
    """Give the graph other tags."""

    def change(content: bytes) -> bytes:
        saved_model = saved_model_pb2.SavedModel.FromString(content)
        saved_model.meta_graphs[0].meta_info_def.tags[:] = tags
        return bytes(saved_model.SerializeToString())

    return change


def cut_weights(version: Path) -> None:
    """Leave out the end of the weights."""
    weights = version / "variables" / "variables.data-00000-of-00001"
    weights.write_bytes(weights.read_bytes()[:2])


@pytest.mark.parametrize(
    ("damage", "status"),
    [
        (lambda v: None, OK),
        (as_text, OK),
        (lambda v: (v / "saved_model.pbtxt").write_text("not looked at"), OK),
        (
            lambda v: rewrite(v, lambda _: GARBAGE),
            (15, "Can't parse {version}/saved_model.pb as binary proto"),
        ),
        (spoil_text, (15, "Can't parse {version}/saved_model.pbtxt as text proto")),
        (lambda v: rewrite(v, lambda c: c[: len(c) // 2]), (11, "Read less bytes than requested")),
        (lambda v: rewrite(v, lambda c: c[:-1]), (11, "Read less bytes than requested")),
        (lambda v: rewrite(v, lambda c: c[:3]), (11, "Read less bytes than requested")),
        (lambda v: rewrite(v, lambda _: b""), NO_GRAPH),
        (lambda v: rewrite(v, tagged("train")), NO_GRAPH),
        (lambda v: rewrite(v, tagged("serve", "gpu")), NO_GRAPH),
        (
            lambda v: (v / "saved_model.pb").unlink(),
            (
                5,
                "Could not find SavedModel .pb or .pbtxt at supplied export directory path: "
                "{version}. Check that the directory exists and that you have the right "
                "permissions for accessing it.",
            ),
        ),
    ],
)
def test_the_status_is_that_of_the_cpp_loader(
    version: Path, loader: Callable[[Path], Status], damage: Callable[[Path], Any], status: Status
) -> None:
    """Code and words, of what our server says and of what TensorFlow does."""
    damage(version)
    expected = (status[0], status[1].replace("{version}", str(version)))
    assert ours(version) == expected
    assert loader(version) == expected


@pytest.mark.parametrize(
    ("damage", "code"),
    [
        (cut_weights, 11),
        (lambda v: (v / "variables" / "variables.data-00000-of-00001").unlink(), 5),
        (lambda v: (v / "variables" / "variables.index").write_bytes(GARBAGE * 9), 15),
    ],
)
def test_damaged_weights_have_the_status_of_the_cpp_loader(
    version: Path, loader: Callable[[Path], Status], damage: Callable[[Path], Any], code: int
) -> None:
    """Cut off, gone, garbage: TensorFlow's words, without those that Python puts around them."""
    damage(version)
    assert ours(version) == loader(version)
    assert ours(version)[0] == code


def test_weights_without_an_index_are_not_served(
    version: Path, loader: Callable[[Path], Status]
) -> None:
    """The C++ loader takes them for a model without weights, and every call would fail."""
    index = version / "variables" / "variables.index"
    index.unlink()
    assert loader(version) == OK
    assert ours(version) == (5, f"{index}; No such file or directory")
