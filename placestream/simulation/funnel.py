"""The steps of a session: which places are looked at, which of them opened, and where it goes.

Each step is likelier the higher the utility.
"""

from dataclasses import dataclass

import numpy as np
from scipy.special import expit

_MEAN_VIEWS = 2.0  # beyond the first
_JUST_GO = 0.25  # sessions without the app
_CLICK_AT, _VISIT_AT = 1.6, 1.4  # utility at which a click, a visit is an even bet


@dataclass(frozen=True)
class Funnel:
    """The steps of sessions [s] over their first choices [s, m], best first."""

    places: np.ndarray
    utility: np.ndarray
    viewed: np.ndarray
    clicked: np.ndarray
    view_s: np.ndarray  # when looked at, seconds after the start
    dwell_s: np.ndarray
    goes: np.ndarray  # bool[s]
    choice: np.ndarray  # column that is visited where it goes, int64[s]
    browsed_s: np.ndarray  # when the app is put away, seconds after the start, float64[s]
    leave_s: np.ndarray  # when it sets out where it goes, likewise


def views(sessions: int, rng: np.random.Generator) -> np.ndarray:
    """How many places are looked at, if there are so many, int64[s]."""
    return np.asarray(1 + rng.poisson(_MEAN_VIEWS, sessions))


def funnel_of(places: np.ndarray, utility: np.ndarray, rng: np.random.Generator) -> Funnel:
    """Of sessions that know no list; some just go. Places and utility [s, m], best first."""
    sessions, most = places.shape
    just_go = np.less(rng.random(sessions), _JUST_GO)
    within = np.less(np.arange(most), np.minimum(views(sessions, rng), most)[:, None])
    viewed = within & ~just_go[:, None] & (places >= 0)
    return followed(places, utility, viewed, just_go, rng)


def followed(
    places: np.ndarray,
    utility: np.ndarray,
    viewed: np.ndarray,
    just_go: np.ndarray,
    rng: np.random.Generator,
) -> Funnel:
    """What comes of the places that are looked at, given best first."""
    sessions = len(places)
    clicked = viewed & (rng.random(places.shape) < expit(utility - _CLICK_AT))
    dwell_s = np.exp(rng.normal(1.8, 0.6, places.shape) + 0.12 * np.clip(utility, -4, 4))
    dwell_s = np.where(clicked, dwell_s + rng.gamma(2.0, 12.0, places.shape), dwell_s).round(1)
    view_s = _one_after_another(viewed, dwell_s, rng)
    choice = np.where(just_go, 0, clicked.argmax(axis=1))
    best = np.take_along_axis(utility, choice[:, None], axis=1)[:, 0]
    wants = just_go | clicked.any(axis=1)
    goes = wants & (rng.random(sessions) < expit(best - _VISIT_AT))
    goes &= np.take_along_axis(places, choice[:, None], axis=1)[:, 0] >= 0
    browsed_s = np.where(viewed, view_s + dwell_s, 0.0).max(axis=1)
    leave_s = browsed_s + np.where(just_go, 0.0, rng.gamma(2.0, 180.0, sessions))
    return Funnel(
        places, utility, viewed, clicked, view_s, dwell_s, goes, choice, browsed_s, leave_s
    )


def _one_after_another(
    viewed: np.ndarray, dwell_s: np.ndarray, rng: np.random.Generator
) -> np.ndarray:
    """When each place is looked at, seconds after the start: in random order, not best first."""
    order = np.argsort(np.where(viewed, rng.random(viewed.shape), np.inf), axis=1)
    spent = np.take_along_axis(np.where(viewed, dwell_s + 1.0, 0.0), order, axis=1)
    begin = np.cumsum(spent, axis=1) - spent
    view_s = np.zeros(viewed.shape)
    np.put_along_axis(view_s, order, begin, axis=1)
    return view_s
