"""Invented names of neighbourhoods and places: plausible, distinct, no real business meant."""

import re
from collections.abc import Callable, Iterator

import numpy as np

WORDS: dict[str, tuple[str, ...]] = {
    "adjective": (
        "Amber", "Bright", "Copper", "Crooked", "Early", "Faded", "Gentle", "Gilded", "Golden",
        "Green", "Hidden", "Humble", "Iron", "Ivory", "Lazy", "Little", "Lucky", "Merry",
        "Midnight", "Mellow", "North", "Old", "Painted", "Quiet", "Red", "Restless", "Rusty",
        "Second", "Silver", "Slow", "Spotted", "Stray", "Sunny", "Velvet", "Wandering", "White",
        "Wild", "Wooden",
    ),
    "animal": (
        "Badger", "Bear", "Crane", "Crow", "Deer", "Falcon", "Finch", "Fox", "Goose", "Hare",
        "Heron", "Hound", "Kestrel", "Lark", "Lion", "Lynx", "Magpie", "Mole", "Moth", "Otter",
        "Owl", "Pelican", "Raven", "Salmon", "Sparrow", "Stag", "Swan", "Wolf",
    ),
    "thing": (
        "Anchor", "Barrel", "Bell", "Bicycle", "Bridge", "Button", "Candle", "Compass", "Crown",
        "Feather", "Harbour", "Hearth", "Kettle", "Key", "Lantern", "Ladder", "Letter", "Mill",
        "Mirror", "Moon", "Needle", "Piano", "Plough", "Quill", "Ribbon", "Saddle", "Spoon", "Star",
        "Thimble", "Tower", "Wheel", "Window",
    ),
    "plant": (
        "Alder", "Aster", "Beech", "Birch", "Cedar", "Chestnut", "Clover", "Elm", "Fennel", "Fern",
        "Hazel", "Heather", "Juniper", "Larch", "Lavender", "Linden", "Maple", "Mint", "Myrtle",
        "Oak", "Olive", "Poppy", "Rosemary", "Rowan", "Sage", "Sorrel", "Thyme", "Willow",
    ),
    "surname": (
        "Abbott", "Alvarez", "Bakker", "Bellamy", "Brandt", "Castellan", "Corwin", "Dalton",
        "Delacroix", "Ellery", "Fairley", "Farrow", "Fontaine", "Garrity", "Hale", "Hartwell",
        "Hollis", "Ingram", "Jensen", "Kaplan", "Keller", "Lachlan", "Lindqvist", "Marchetti",
        "Mercer", "Moreau", "Nakamura", "Novak", "Okafor", "Osborne", "Palmer", "Pereira",
        "Quigley", "Ramsey", "Rosen", "Sandoval", "Sinclair", "Tanaka", "Thorne", "Underhill",
        "Varga", "Vasquez", "Whitlock", "Yates", "Zeller",
    ),
    "street": (
        "Acorn Lane", "Bank Street", "Baxter Street", "Canal Street", "Chapel Hill",
        "Church Street", "Dock Road", "Elm Street", "Ferry Road", "Foundry Lane", "Front Street",
        "Garden Street", "Granary Row", "Harbour Road", "Hill Street", "Juniper Street",
        "King Street", "Ladder Lane", "Lake Avenue", "Market Square", "Mill Road", "Mulberry Row",
        "Orchard Street", "Park Avenue", "Pine Street", "Quarry Road", "Queen Street",
        "River Street", "School Lane", "Second Avenue", "Spring Street", "Station Road",
        "Summit Avenue", "Tannery Row", "Third Avenue", "Union Square", "Vine Street",
        "Water Street", "West Street", "Windmill Lane",
    ),
    "italian": (
        "Aurora", "Bellini", "Carlotta", "Da Enzo", "Donatella", "Fiorella", "Gallo", "Il Cortile",
        "La Lanterna", "Lucia", "Marcella", "Nonna Pia", "Ornella", "Pasquale", "Romano", "Rossi",
        "San Marco", "Serafina", "Tiziana", "Vecchio Mulino",
    ),
    "spanish": (
        "Azul", "Catrina", "Comal", "Dolores", "El Camino", "El Nopal", "Esperanza", "La Paloma",
        "La Reyna", "Los Primos", "Luz", "Maguey", "Mariposa", "Pilar", "Rosario", "Tres Hermanas",
    ),
    "japanese": (
        "Akari", "Aoi", "Hana", "Hikari", "Kaede", "Kawa", "Kiku", "Komorebi", "Matsu", "Mizu",
        "Nami", "Sakura", "Shiro", "Sora", "Tsuki", "Ume", "Yama", "Yuki",
    ),
    "subject": (
        "Clockmaking", "Glass", "Local History", "Maps", "Modern Photography", "Natural History",
        "Navigation", "Printing", "Science", "Textiles", "Toys", "Transport",
    ),
}  # fmt: skip
_NEIGHBOURHOODS = (
    "Old Market", "Millgate", "Riverside", "Northfield", "Castle Hill", "Linden Park", "Tannery",
    "Eastbrook", "Saint Anne", "Foundry", "Westmoor", "Harbour Quarter", "Greenhill", "Arsenal",
    "University", "Orchard", "Southbank", "Quarry", "Belvedere", "Fairmont",
)  # fmt: skip
_SLOT = re.compile(r"\{(\w+)\}")


def neighbourhood_names(count: int) -> list[str]:
    """Distinct names of neighbourhoods; the first is the centre."""
    prefixes = ("", "Upper ", "Lower ", "New ", "Little ")
    rounds = -(-count // (len(_NEIGHBOURHOODS) * len(prefixes)))
    names = [
        f"{prefix}{name}{'' if turn == 0 else f' {turn + 1}'}"
        for turn in range(rounds)
        for prefix in prefixes
        for name in _NEIGHBOURHOODS
    ]
    return names[:count]


def place_names(patterns: list[tuple[str, ...]], rng: np.random.Generator) -> list[str]:
    """One distinct name for each place, from one of the patterns of its category.

    A name that is taken gets its street ("... on Mill Road"), and after that a number.
    """
    draw = _draws(rng, 16 * len(patterns))
    taken: set[str] = set()
    names = []
    for choices in patterns:
        name = _fill(choices[int(next(draw) * len(choices))], draw)
        if name in taken:
            name = f"{name} on {_word('street', draw)}"
        stem, number = name, 2
        while name in taken:
            name, number = f"{stem} {number}", number + 1
        taken.add(name)
        names.append(name)
    return names


def _draws(rng: np.random.Generator, count: int) -> Iterator[float]:
    yield from rng.random(count).tolist()


def _word(kind: str, draw: Iterator[float]) -> str:
    words = WORDS[kind]
    return words[int(next(draw) * len(words))]


def _fill(pattern: str, draw: Iterator[float]) -> str:
    word: Callable[[re.Match[str]], str] = lambda slot: _word(slot.group(1), draw)  # noqa: E731
    return _SLOT.sub(word, pattern)
