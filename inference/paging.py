"""Pages of one answer, with no state in the service: a token carries what was already shown.

The next page is the best of what has not been shown, by the features of that moment: no place
comes twice, and none is passed over, however scores move between the pages. The token also carries
the seed of all that is random, so that asking for a page again gives the same draws. It names its
request by a digest, so that it cannot be used with another one, and the moment it was made, since
it is of use for minutes only. A checksum tells what is damaged. No key is needed: a token says
nothing that its caller does not know, and asks for nothing that its caller may not.

Source of the rules: Google's API improvement proposal 158 (pagination).
"""

import base64
import binascii
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import xxhash

from contracts.placestream.v1 import recommendation_pb2 as pb

#: A token this old is refused: what is near, open and rested is another by then.
LIFE_S = 900
#: Paging ends after so many places: nobody scrolls further, and a token has 8 bytes for each.
MOST_PLACES = 1_000
#: The fields in which a request for a further page may differ from the first.
FREE: tuple[Literal["page_token", "limit", "explain", "request_id", "written"], ...] = (
    "page_token", "limit", "explain", "request_id", "written"
)  # fmt: skip

BAD_TOKEN, EXPIRED_TOKEN, FOREIGN_TOKEN = "BAD_TOKEN", "EXPIRED_TOKEN", "FOREIGN_TOKEN"

_VERSION = 1
# Version, seconds of making, seed, number of the page, digest of the request; then the places.
_HEAD = struct.Struct("<BIQHQ")
_CHECK = struct.Struct("<Q")


class BadToken(ValueError):
    """A page token that cannot be used here.

    Attributes:
        reason: stable, for programs.
    """

    def __init__(self, reason: str, text: str) -> None:
        super().__init__(text)
        self.reason = reason


@dataclass(frozen=True)
class Page:
    """A page after the first.

    Attributes:
        number: 1 for the second page.
        seed: that the first page was made with.
        shown: hashes of the places on the pages before, in their order.
    """

    number: int
    seed: int
    shown: tuple[int, ...]


class PageTokens:
    """Writes and reads tokens."""

    def __init__(self, installation: str, clock: Callable[[], float]) -> None:
        """Take the name of the installation, whose tokens are no other's, and Unix seconds."""
        self._installation = installation.encode()
        self._clock = clock

    def write(self, page: Page, request: pb.RecommendRequest) -> str:
        """The token of a page; empty where paging ends."""
        if len(page.shown) >= MOST_PLACES:
            return ""
        head = _HEAD.pack(
            _VERSION, int(self._clock()), page.seed, page.number, self._digest(request)
        )
        body = head + struct.pack(f"<{len(page.shown)}Q", *page.shown)
        checked = body + _CHECK.pack(xxhash.xxh3_64_intdigest(body))
        return base64.urlsafe_b64encode(checked).rstrip(b"=").decode()

    def read(self, request: pb.RecommendRequest) -> Page:
        """The page that a request with a token wants.

        Raises:
            BadToken: damaged, too old, or of another request.
        """
        body = _checked(request.page_token)
        version, made_s, seed, number, digest = _HEAD.unpack_from(body)
        if version != _VERSION:
            raise BadToken(BAD_TOKEN, "is of another version of the service")
        if digest != self._digest(request):
            text = f"belongs to another request: only {', '.join(FREE)} may differ between pages"
            raise BadToken(FOREIGN_TOKEN, text)
        if self._clock() - made_s > LIFE_S:
            raise BadToken(EXPIRED_TOKEN, f"is older than {LIFE_S} s: begin again without it")
        places, rest = divmod(len(body) - _HEAD.size, 8)
        # Anybody can make a checksum: what a page of ours cannot have is refused by itself.
        if rest or places > MOST_PLACES or number > MOST_PLACES:
            raise BadToken(BAD_TOKEN, "is not a token of this service")
        return Page(number, seed, struct.unpack_from(f"<{places}Q", body, _HEAD.size))

    def _digest(self, request: pb.RecommendRequest) -> int:
        same = pb.RecommendRequest()
        same.CopyFrom(request)
        for field in FREE:
            same.ClearField(field)
        said = same.SerializeToString(deterministic=True)
        return xxhash.xxh3_64_intdigest(self._installation + b"\0" + said)


def _checked(token: str) -> bytes:
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise BadToken(BAD_TOKEN, "is not a token of this service") from error
    body, check = raw[: -_CHECK.size], raw[-_CHECK.size :]
    if len(body) < _HEAD.size or check != _CHECK.pack(xxhash.xxh3_64_intdigest(body)):
        raise BadToken(BAD_TOKEN, "is damaged")
    return body
