"""New users, played: some people's past is taken out of the log, and they come for the first time.

No visit of a user without any past can be a request of the protocol, for it has no location. And
simply withholding a user's own history will not do: the crowd's counts at their home are their own.
So the whole past of some users is removed before anything is counted, and their requests of the
judged part follow: the first knows nothing of its user, the second one visit, and so on. The
location of the first is still the place of the removed visit before it: a phone knows where it is.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from models.quality.requests import Requests
from models.quality.slices import KNOWN, Slice
from models.quality.visits import VisitLog

#: Share of the users who ask in the judged part, and how many requests each makes.
SHARE, EACH = 0.2, 10


@dataclass(frozen=True)
class Newcomers:
    """Requests of played new users.

    Attributes:
        kept: int64[m], positions of the log that are left.
        users: int64[u], who is new.
        requests: theirs, in a log of the visits kept.
    """

    kept: NDArray[np.int64]
    users: NDArray[np.int64]
    requests: Requests

    @property
    def cut(self) -> int:
        """How many of the visits kept lie before the judged part."""
        return self.requests.cut


def play_newcomers(requests: Requests, seed: int) -> Newcomers:
    """Draw some of the users who ask, and remove their past.

    Args:
        requests: all of the judged part; nothing after the last of them is kept.
        seed: of the draw.
    """
    visits, cut = requests.visits, requests.cut
    asking = np.unique(requests.user)
    count = max(1, round(SHARE * len(asking)))
    users = np.sort(np.random.default_rng(seed).permutation(asking)[:count])
    past = np.isin(visits.user[:cut], users)
    kept = np.r_[np.flatnonzero(~past), np.arange(cut, len(visits))]
    left = visits.take(kept)
    moved = np.cumsum(~past)[-1] - cut if cut else 0
    mine = np.isin(requests.user, users)
    at = requests.at[mine] + moved
    early = left.user_past[at] < EACH
    asked = Requests(left, at[early], cut + int(moved), requests.origin[mine][early])
    return Newcomers(kept, users, asked)


def newcomer_slices(newcomers: Newcomers) -> list[Slice]:
    """By how many visits of the user are known, 0 included."""
    requests = newcomers.requests
    past = requests.visits.user_past[requests.at]
    found = []
    for name, least, most in KNOWN:
        rows = np.flatnonzero((past >= least) & (past <= most))
        if len(rows):
            found.append(Slice(f"newcomer_{name}", rows))
    return found


def refit(visits: VisitLog, newcomers: Newcomers) -> VisitLog:
    """What a method may be fitted to so that it does not know the newcomers."""
    return visits.take(newcomers.kept).first(newcomers.cut)
