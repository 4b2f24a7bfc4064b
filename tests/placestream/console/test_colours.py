"""Text can be read: contrast of the stylesheet's colours in both schemes."""

import re
from pathlib import Path

import pytest

import placestream.console

CSS = (Path(placestream.console.__file__).parent / "pages" / "console.css").read_text()
#: (text, ground): WCAG 2.2 asks for 4.5 to 1.
TEXTS = [
    *((text, ground) for text in ("ink", "muted") for ground in ("ground", "surface", "raised")),
    ("ink", "changed"),
    ("ink", "bad-soft"),
    ("ink", "accent-soft"),
    ("muted", "accent-soft"),
    ("good", "surface"),
    ("good", "raised"),
    ("good", "changed"),
    ("warn", "surface"),
    ("bad", "surface"),
    ("on-accent", "accent"),
    ("ink", "map-halo"),
    ("muted", "map-ground"),
]
#: What is no text but must be seen, such as edges of controls: 3 to 1.
SHAPES = [("strong-line", "surface"), ("focus", "surface"), ("focus", "map-ground"),
          ("good-fill", "surface"), ("bad-fill", "surface"), ("accent", "map-ground")]  # fmt: skip


def colours(scheme: str) -> dict[str, str]:
    """The variables of a scheme; dark ones replace some of the light."""
    light, dark = re.findall(r":root \{(.*?)\}", CSS, re.DOTALL)[:2]
    said = light + (dark if scheme == "dark" else "")
    return dict(re.findall(r"--([\w-]+): #([0-9a-f]{6})", said))


def luminance(colour: str) -> float:
    """Relative luminance, as WCAG 2.2 defines it."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (0, 2, 4)]
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in parts]
    return sum(w * c for w, c in zip((0.2126, 0.7152, 0.0722), linear, strict=True))


def contrast(one: str, other: str) -> float:
    """1 to 21."""
    dark, light = sorted((luminance(one), luminance(other)))
    return (light + 0.05) / (dark + 0.05)


def test_black_on_white_is_the_most() -> None:
    """The measure itself."""
    assert contrast("000000", "ffffff") == pytest.approx(21)


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_stands_out_from_its_ground(scheme: str) -> None:
    """All pairs that the page uses."""
    of = colours(scheme)
    poor = {pair: round(contrast(of[pair[0]], of[pair[1]]), 2) for pair in TEXTS}
    assert {pair: ratio for pair, ratio in poor.items() if ratio < 4.5} == {}


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_shape_can_be_seen(scheme: str) -> None:
    """Edges of controls, the mark of the keyboard, lamps, markers."""
    of = colours(scheme)
    poor = {pair: round(contrast(of[pair[0]], of[pair[1]]), 2) for pair in SHAPES}
    assert {pair: ratio for pair, ratio in poor.items() if ratio < 3} == {}
