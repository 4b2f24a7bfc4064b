"""Categories as a tree: a name may be a path, the widest kind first.

`"Dining and Drinking > Restaurant > Italian Restaurant"` is a kind of `"Dining and Drinking >
Restaurant"`. So Foursquare's open catalogue writes its category labels; a plain name is a tree of
one level. Slashes divide nothing: names as "Gym / Fitness Center" hold them.
"""

from functools import lru_cache

SEPARATOR = " > "


@lru_cache(maxsize=65_536)
def path(category: str) -> tuple[str, ...]:
    """The names along the way to a category, the widest first."""
    return tuple(category.split(SEPARATOR))


def kinds(category: str) -> tuple[str, ...]:
    """Every category that this one is a kind of, the widest first, itself last."""
    names = path(category)
    return tuple(SEPARATOR.join(names[: depth + 1]) for depth in range(len(names)))


def leaf(category: str) -> str:
    """The narrowest name, for people."""
    return path(category)[-1]


@lru_cache(maxsize=65_536)
def likeness(a: str, b: str) -> float:
    """How much two categories have in common: shared levels over the levels of the deeper one.

    0 for nothing, 1 for the same; an unknown category (empty) is like none.
    """
    if not a or not b:
        return 0.0
    first, second = path(a), path(b)
    shared = 0
    for x, y in zip(first, second, strict=False):
        if x != y:
            break
        shared += 1
    return shared / max(len(first), len(second))
