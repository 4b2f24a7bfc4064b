"""docs/model-server.md names the tests that hold what it says."""

import re
from pathlib import Path

ROOT = Path(__file__).parents[3]
PAGE = ROOT / "docs" / "model-server.md"
HERE = Path(__file__).parent
NAMED = re.compile(r"`(?:(\S+\.py)|…)::(test_\w+)`")


def test_every_test_that_the_page_names_exists() -> None:
    """`file::test`; with an ellipsis, in the file named last."""
    file, missing, count = "", [], 0
    for named, test in NAMED.findall(PAGE.read_text(encoding="utf-8")):
        file = named or file
        count += 1
        if f"def {test}(" not in (HERE / file).read_text(encoding="utf-8"):
            missing.append(f"{file}::{test}")
    assert count > 50
    assert missing == []
