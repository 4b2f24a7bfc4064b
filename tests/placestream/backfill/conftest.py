"""Spark's Java, for tests."""

from collections.abc import Iterator

import pytest

#: Half of a small job's processor time would go into compiling what then runs once.
JAVA_OPTIONS = "-XX:TieredStopAtLevel=1 -XX:+UseSerialGC"


@pytest.fixture(scope="session", autouse=True)
def java_that_starts_quickly() -> Iterator[None]:
    """For every Java that is started from here on."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("JAVA_TOOL_OPTIONS", JAVA_OPTIONS)
        yield
