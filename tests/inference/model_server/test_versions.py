"""Versions on disk and the policies that choose among them."""

from pathlib import Path

import pytest

from inference.model_server.versions import aspired_versions, missing_versions, versions_on_disk
from tests.inference.model_server.conftest import model_config


def make(base: Path, *names: str, file: str = "saved_model.pb") -> None:
    """Write directories that look like finished SavedModels."""
    for name in names:
        (base / name).mkdir()
        (base / name / file).touch()


def test_finds_plain_numbers_that_are_complete(tmp_path: Path) -> None:
    """Everything else is not a version: signs, letters, other digits, 2^63, unfinished."""
    make(tmp_path, "1", "20", "-3", "+4", "5a", "1_0", "٣", str(2**63), str(2**63 - 1))
    make(tmp_path, "8", file="saved_model.pbtxt")
    (tmp_path / "6").mkdir()
    (tmp_path / "7").touch()
    assert versions_on_disk(tmp_path) == {
        version: tmp_path / str(version) for version in (1, 8, 20, 2**63 - 1)
    }


def test_of_two_spellings_the_plain_one_wins(tmp_path: Path) -> None:
    """As the real server, which reads the names in order."""
    make(tmp_path, "1", "01")
    assert versions_on_disk(tmp_path) == {1: tmp_path / "1"}


def test_a_missing_base_path_is_an_error(tmp_path: Path) -> None:
    """Not "no versions": nothing may be unloaded for it."""
    with pytest.raises(FileNotFoundError):
        versions_on_disk(tmp_path / "nowhere")


def test_policies_choose() -> None:
    """Latest one, latest n (0 means 1), the specific ones that exist, all."""
    found = {version: Path(str(version)) for version in (1, 2, 9, 10)}
    base = Path("/m")

    def chosen(**policy: object) -> set[int]:
        return set(aspired_versions(model_config(base, **policy), found))  # type: ignore[arg-type]

    assert chosen() == {10}
    assert chosen(latest=3) == {2, 9, 10}
    assert chosen(latest=9) == set(found)
    assert chosen(specific=(1, 9, 11)) == {1, 9}
    assert chosen(every=True) == set(found)
    zero = model_config(base)
    zero.model_version_policy.latest.SetInParent()
    assert set(aspired_versions(zero, found)) == {10}


def test_names_the_specific_versions_that_are_missing() -> None:
    """For the log; other policies miss nothing."""
    found = {1: Path("1")}
    assert missing_versions(model_config(Path("/m"), specific=(3, 1, 2)), found) == [2, 3]
    assert missing_versions(model_config(Path("/m"), latest=5), found) == []
