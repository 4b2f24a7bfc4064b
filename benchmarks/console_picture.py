"""`python -m benchmarks.console_picture ADDRESS`: the README's picture of the console.

The address is what `make demo KEEP=1` prints at its end. The picture is of a visit that was just
sent from the page: the list has changed, and says so. Needs a Chromium (`.ci/setup.sh test`).
"""

import argparse
import shutil
from pathlib import Path

from PIL import Image
from playwright.sync_api import Page, sync_playwright

FILE = Path(__file__).parents[1] / "docs" / "console.png"
WIDTH, HEIGHT = 1_280, 800
WAIT_MS = 60_000


def _act(page: Page) -> None:
    """Ask, and visit the third place of the list."""
    third = page.locator("#places li").nth(2)
    third.locator(".main").click()
    third.locator("[data-kind=visit]").click()
    page.locator("#answer-change").wait_for(timeout=WAIT_MS)
    page.locator(".recent").wait_for(timeout=WAIT_MS)


def _take(address: str, file: Path, width: int, scheme: str) -> None:
    program = shutil.which("chromium-headless-shell") or shutil.which("chromium")
    if program is None:
        raise SystemExit("no Chromium: `.ci/setup.sh test` installs it")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=program)
        page = browser.new_page(
            viewport={"width": width, "height": HEIGHT},
            color_scheme="dark" if scheme == "dark" else "light",
            reduced_motion="reduce",
        )
        page.goto(address)
        page.locator("#places li").first.wait_for(timeout=WAIT_MS)
        _act(page)
        page.mouse.move(0, 0)
        page.wait_for_timeout(1_000)  # the map's next frame
        page.screenshot(path=file)
        browser.close()
    # A palette is enough for it, and a third of the size.
    whole = Image.open(file).convert("RGB")
    palette = whole.quantize(256, Image.Quantize.MAXCOVERAGE, kmeans=3)
    whole.quantize(palette=palette, dither=Image.Dither.FLOYDSTEINBERG).save(file, optimize=True)


def main() -> None:
    """Take it."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("address", help="as the demo prints it, token and all")
    parser.add_argument("--out", type=Path, default=FILE)
    parser.add_argument("--width", type=int, default=WIDTH)
    parser.add_argument("--scheme", choices=("light", "dark"), default="light")
    given = parser.parse_args()
    _take(given.address, given.out, given.width, given.scheme)
    print(f"{given.out}: {given.out.stat().st_size / 1024:.0f} KiB")


if __name__ == "__main__":
    main()
