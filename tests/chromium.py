"""A headless Chromium of the system, for tests that look at pages."""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager

from playwright.sync_api import Browser, sync_playwright


@contextmanager
def chromium(*arguments: str) -> Iterator[Browser]:
    """One browser; a module opens it once, since it keeps an event loop running meanwhile."""
    found = filter(None, map(shutil.which, ("chromium-headless-shell", "chromium")))
    program = os.environ.get("PLACESTREAM_CHROMIUM") or next(found, None)
    assert program, "no Chromium: .ci/setup.sh test installs it"
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program, args=arguments)
        yield browser
        browser.close()
