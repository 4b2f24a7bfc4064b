"""The kinds of places that a simulated city has, and when and in which weather they appeal.

The figures are plausible, not measured: they exist so that a model has something to learn.
"""

from dataclasses import dataclass
from typing import Literal

import numpy as np

Group = Literal["meals", "sweets", "drinks", "culture", "outdoors", "shopping", "fitness"]
#: Latent groups of taste: a user who likes one category of a group tends to like the others.
GROUPS: tuple[Group, ...] = (
    "meals",
    "sweets",
    "drinks",
    "culture",
    "outdoors",
    "shopping",
    "fitness",
)
WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_LEAST_APPEAL = 0.06


@dataclass(frozen=True)
class Category:
    """One category of places.

    Attributes:
        name: as in the place updates.
        group: latent group of taste.
        share: relative number of places.
        hours: (weekdays, spans of local time); a weekday that is in none is closed.
        prices: relative frequency of price levels 1 to 4.
        peaks: (local hour, width in hours, height) of the bumps of its appeal over the day.
        weekend: appeal added on Saturday and Sunday.
        open_air: 0 indoors .. 1 in the open.
        heat: appeal gained for each 10 degrees Celsius above 20 (lost below).
        stay_min: typical stay, minutes.
        queries: what people type to find it.
        patterns: patterns of names, see names.py.
    """

    name: str
    group: Group
    share: float
    hours: tuple[tuple[str, str], ...]
    prices: tuple[float, float, float, float]
    peaks: tuple[tuple[float, float, float], ...]
    weekend: float
    open_air: float
    heat: float
    stay_min: float
    queries: tuple[str, ...]
    patterns: tuple[str, ...]


_LUNCH = (12.5, 1.2, 1.0)
_DINNER = (19.5, 1.6, 1.3)
_DAILY = "mon tue wed thu fri sat sun"
_WORKDAYS = "mon tue wed thu fri"
_RESTAURANT = ((_DAILY, "11:30-14:30 17:30-22:30"),)
_SHOP = (("mon tue wed thu fri sat", "10:00-19:00"), ("sun", "12:00-17:00"))

CATEGORIES: tuple[Category, ...] = (
    Category(
        "Coffee Shop", "sweets", 1.6,
        (("mon tue wed thu fri", "06:30-18:00"), ("sat sun", "07:30-18:00")),
        (3, 5, 1, 0), ((8.0, 1.2, 1.3), (15.0, 1.8, 0.7)), 0.0, 0.1, -0.1, 25,
        ("coffee", "coffee near me", "flat white"),
        ("{adjective} {thing} Coffee", "{street} Coffee", "{surname} Roasters"),
    ),
    Category(
        "Bakery", "sweets", 0.9, (("tue wed thu fri sat sun", "06:30-16:00"),),
        (5, 4, 1, 0), ((8.0, 1.5, 1.2), (12.0, 1.5, 0.5)), 0.3, 0.0, -0.1, 12,
        ("bakery", "fresh bread", "croissant"),
        ("{surname} Bakery", "{thing} & Crumb", "{street} Bread"),
    ),
    Category(
        "Ice Cream Shop", "sweets", 0.5, ((_DAILY, "11:00-22:00"),),
        (5, 4, 1, 0), ((15.5, 2.0, 1.2), (20.0, 1.5, 0.9)), 0.4, 0.4, 0.9, 15,
        ("ice cream", "gelato"), ("Gelateria {italian}", "{adjective} Scoop", "{thing} Ice Cream"),
    ),
    Category(
        "Italian Restaurant", "meals", 1.1, _RESTAURANT,
        (1, 4, 3, 1), (_LUNCH, _DINNER), 0.2, 0.1, 0.0, 75,
        ("italian restaurant", "pasta", "pizza"),
        ("Trattoria {italian}", "Osteria {italian}", "{italian} & {italian}"),
    ),
    Category(
        "Mexican Restaurant", "meals", 1.0, ((_DAILY, "11:00-22:00"),),
        (3, 5, 1, 0), (_LUNCH, _DINNER), 0.0, 0.1, 0.1, 55,
        ("tacos", "mexican food", "burrito"),
        ("Taqueria {spanish}", "{spanish} Cantina", "Casa {spanish}"),
    ),
    Category(
        "Sushi Restaurant", "meals", 0.7, (("tue wed thu fri sat sun", "12:00-14:30 17:30-22:00"),),
        (0, 3, 4, 2), (_LUNCH, _DINNER), 0.0, 0.0, 0.1, 65,
        ("sushi", "japanese restaurant"),
        ("Sushi {japanese}", "{japanese} House", "{japanese} Sushi Bar"),
    ),
    Category(
        "Burger Joint", "meals", 1.0, ((_DAILY, "11:00-23:00"),),
        (5, 4, 0, 0), (_LUNCH, (19.0, 2.2, 1.1)), 0.1, 0.1, 0.0, 35,
        ("burger", "fries"), ("{surname}'s Burgers", "{adjective} Bun", "{street} Grill"),
    ),
    Category(
        "Vegetarian Restaurant", "meals", 0.6, (("mon tue wed thu fri sat", "11:30-21:30"),),
        (2, 5, 2, 0), (_LUNCH, _DINNER), 0.0, 0.1, 0.1, 55,
        ("vegan", "vegetarian restaurant"),
        ("{adjective} {plant}", "{plant} Kitchen", "{plant} & {plant}"),
    ),
    Category(
        "Fine Dining", "meals", 0.35, (("wed thu fri sat sun", "18:00-23:30"),),
        (0, 0, 3, 6), ((20.0, 1.3, 1.4),), 0.4, 0.0, 0.0, 130,
        ("tasting menu", "romantic dinner"),
        ("Maison {surname}", "The {adjective} {thing}", "{surname}"),
    ),
    Category(
        "Bar", "drinks", 1.3, (("sun mon tue wed thu", "17:00-00:00"), ("fri sat", "16:00-02:00")),
        (2, 5, 2, 0), ((18.5, 1.5, 0.7), (22.0, 2.0, 1.3)), 0.4, 0.1, 0.1, 90,
        ("bar", "cocktails", "happy hour"),
        ("The {adjective} {animal}", "The {animal} & {thing}", "{street} Tap"),
    ),
    Category(
        "Beer Garden", "drinks", 0.35, ((_DAILY, "15:00-23:00"),),
        (2, 6, 1, 0), ((17.0, 2.0, 0.8), (20.5, 2.0, 1.1)), 0.5, 1.0, 0.6, 100,
        ("beer garden", "drinks outside"),
        ("{surname} Biergarten", "The {plant} Garden", "{animal} Yard"),
    ),
    Category(
        "Nightclub", "drinks", 0.35, (("thu fri sat", "22:00-04:00"),),
        (0, 4, 4, 1), ((0.5, 1.8, 1.4), (23.5, 1.5, 1.0)), 0.7, 0.0, 0.0, 150,
        ("nightclub", "dancing"), ("Club {adjective}", "{thing} Room", "{adjective} {animal} Club"),
    ),
    Category(
        "Museum", "culture", 0.35, (("tue wed thu fri sat sun", "10:00-18:00"),),
        (2, 4, 2, 0), ((14.0, 2.5, 1.1),), 0.8, 0.0, 0.0, 110,
        ("museum", "exhibition"),
        ("{surname} Museum", "Museum of {subject}", "{street} House Museum"),
    ),
    Category(
        "Art Gallery", "culture", 0.5, (("wed thu fri sat", "11:00-19:00"),),
        (6, 3, 1, 0), ((15.0, 2.2, 1.0), (18.0, 1.0, 0.6)), 0.5, 0.0, 0.0, 45,
        ("art gallery", "exhibition opening"),
        ("{surname} Gallery", "Gallery {street}", "{adjective} Walls"),
    ),
    Category(
        "Movie Theater", "culture", 0.35, ((_DAILY, "12:00-00:00"),),
        (1, 6, 2, 0), ((20.0, 1.8, 1.4), (16.0, 2.0, 0.6)), 0.4, 0.0, -0.1, 140,
        ("cinema", "movies tonight"),
        ("The {adjective} Picture House", "{street} Cinema", "{thing} Cinema"),
    ),
    Category(
        "Music Venue", "culture", 0.35, (("wed thu fri sat sun", "18:30-01:00"),),
        (1, 4, 3, 1), ((21.0, 1.5, 1.4),), 0.4, 0.0, 0.0, 140,
        ("live music", "concert tonight"),
        ("The {thing} Hall", "{adjective} {animal} Live", "{surname}'s Jazz Cellar"),
    ),
    Category(
        "Park", "outdoors", 0.8, ((_DAILY, "06:00-22:00"),),
        (1, 0, 0, 0), ((10.0, 2.5, 0.8), (17.0, 2.5, 1.1)), 0.6, 1.0, 0.3, 50,
        ("park", "dog walk", "picnic"), ("{plant} Park", "{surname} Park", "{street} Green"),
    ),
    Category(
        "Playground", "outdoors", 0.5, ((_DAILY, "07:00-20:00"),),
        (1, 0, 0, 0), ((10.5, 1.8, 0.9), (16.0, 2.0, 1.1)), 0.6, 1.0, 0.2, 60,
        ("playground", "kids outside"), ("{plant} Playground", "{street} Playground"),
    ),
    Category(
        "Swimming Lake", "outdoors", 0.2, ((_DAILY, "08:00-20:30"),),
        (6, 2, 0, 0), ((14.5, 2.5, 1.3),), 0.8, 1.0, 1.5, 120,
        ("swimming", "lake"), ("{adjective} {animal} Lake", "{plant} Bay Lido"),
    ),
    Category(
        "Farmers Market", "shopping", 0.25, (("wed", "08:00-14:00"), ("sat", "07:30-14:30")),
        (4, 5, 1, 0), ((10.0, 1.8, 1.3),), 0.4, 0.9, 0.1, 40,
        ("farmers market", "fresh vegetables"), ("{street} Market", "{plant} Farmers Market"),
    ),
    Category(
        "Supermarket", "shopping", 0.9,
        (("mon tue wed thu fri sat", "07:00-22:00"), ("sun", "09:00-20:00")),
        (3, 5, 2, 0), ((18.0, 2.0, 1.2), (11.0, 2.5, 0.7)), 0.0, 0.0, 0.0, 25,
        ("supermarket", "groceries"), ("{surname} Foods", "{street} Grocer", "{plant} Market Hall"),
    ),
    Category(
        "Clothing Store", "shopping", 0.9, _SHOP,
        (2, 4, 3, 1), ((14.0, 2.5, 1.0), (17.5, 1.3, 0.8)), 0.6, 0.0, -0.1, 35,
        ("clothes", "vintage clothes"),
        ("{surname} & {surname}", "{adjective} Thread", "{thing} Outfitters"),
    ),
    Category(
        "Bookstore", "shopping", 0.4, _SHOP,
        (3, 5, 1, 0), ((13.0, 2.5, 0.8), (17.0, 2.0, 0.9)), 0.5, 0.0, -0.1, 35,
        ("bookstore", "used books"), ("{surname} Books", "The {adjective} Page", "{animal} Books"),
    ),
    Category(
        "Gym", "fitness", 0.7, ((_WORKDAYS, "06:00-22:30"), ("sat sun", "08:00-20:00")),
        (2, 5, 2, 0), ((7.0, 1.0, 1.2), (18.0, 1.6, 1.3)), -0.3, 0.0, -0.1, 70,
        ("gym", "fitness class"), ("{adjective} Gym", "{street} Fitness", "{animal} Strength"),
    ),
    Category(
        "Climbing Hall", "fitness", 0.2, ((_DAILY, "10:00-23:00"),),
        (0, 6, 2, 0), ((19.0, 2.0, 1.3), (14.0, 2.5, 0.4)), 0.3, 0.0, -0.2, 120,
        ("climbing", "bouldering"), ("{adjective} Boulders", "{animal} Climbing"),
    ),
    Category(
        "Yoga Studio", "fitness", 0.35, ((_WORKDAYS, "07:00-21:00"), ("sat sun", "09:00-18:00")),
        (0, 4, 3, 1), ((8.0, 1.2, 0.9), (18.5, 1.5, 1.2)), 0.0, 0.0, 0.0, 75,
        ("yoga", "pilates"), ("{plant} Yoga", "{adjective} Breath"),
    ),
)  # fmt: skip

#: Index of each category's latent group, int64[C].
GROUP_OF = np.array([GROUPS.index(c.group) for c in CATEGORIES])

#: City-wide happenings: local start and end hour, and the appeal that each category gains.
HAPPENINGS: dict[str, tuple[float, float, dict[str, float]]] = {
    "food_festival": (
        12,
        22,
        {"Mexican Restaurant": 1.0, "Vegetarian Restaurant": 1.0, "Ice Cream Shop": 0.8},
    ),
    "derby_match": (17, 23, {"Bar": 1.3, "Beer Garden": 1.0, "Burger Joint": 0.8}),
    "museum_night": (16, 24, {"Museum": 1.6, "Art Gallery": 1.6}),
    "street_fair": (10, 20, {"Clothing Store": 1.0, "Bookstore": 1.0, "Farmers Market": 1.0}),
    "open_air_concert": (17, 24, {"Park": 1.2, "Music Venue": 1.2, "Beer Garden": 0.8}),
}


def hour_appeal() -> np.ndarray:
    """Appeal of each category over the local week, float32[C, 2, 24]: workday or weekend, hour.

    The logarithm of a sum of bumps on the circle of 24 hours, with a floor so that no hour is
    impossible.
    """
    hour = np.arange(24) + 0.5
    appeal = np.empty((len(CATEGORIES), 2, 24), np.float32)
    for row, category in enumerate(CATEGORIES):
        bumps = np.full(24, _LEAST_APPEAL)
        for peak, width, height in category.peaks:
            away = np.abs(hour - peak)
            away = np.minimum(away, 24 - away)
            bumps += height * np.exp(-0.5 * (away / width) ** 2)
        appeal[row, 0] = np.log(bumps)
        appeal[row, 1] = appeal[row, 0] + category.weekend
    return appeal


def happening_appeal() -> np.ndarray:
    """Appeal that each happening adds, float32[1 + happenings, C]; row 0 is no happening."""
    names = [c.name for c in CATEGORIES]
    appeal = np.zeros((1 + len(HAPPENINGS), len(CATEGORIES)), np.float32)
    for row, (_, _, gains) in enumerate(HAPPENINGS.values(), start=1):
        for name, gain in gains.items():
            appeal[row, names.index(name)] = gain
    return appeal
