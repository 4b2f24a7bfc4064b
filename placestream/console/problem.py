"""What went wrong, in words for a person, with what to do about it."""

from dataclasses import dataclass

import grpc

from placestream.client import CallFailed


@dataclass(frozen=True)
class Problem(Exception):
    """An answer that is an error.

    Attributes:
        status: of HTTP.
        text: what is wrong.
        advice: what to do next.
        faults: (field, text) of each field that is wrong.
    """

    status: int
    text: str
    advice: str
    faults: tuple[tuple[str, str], ...] = ()

    def body(self) -> dict[str, object]:
        """As JSON."""
        faults = [{"field": field, "text": text} for field, text in self.faults]
        return {"error": {"text": self.text, "advice": self.advice, "faults": faults}}


_ADVICE: dict[grpc.StatusCode, tuple[int, str, str]] = {
    grpc.StatusCode.INVALID_ARGUMENT: (400, "The service refused it.", "Mend what is named."),
    grpc.StatusCode.UNAUTHENTICATED: (
        502,
        "The service does not know the console.",
        "Make a token with `placestream token new` and give it as PLACESTREAM_CLIENT_TOKEN.",
    ),
    grpc.StatusCode.PERMISSION_DENIED: (
        502,
        "The service does not let the console do that.",
        "Give its token the right to it: `placestream token --help`.",
    ),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (
        503,
        "The service has too much to do.",
        "Try again in a moment.",
    ),
    grpc.StatusCode.DEADLINE_EXCEEDED: (
        504,
        "The service did not answer in time.",
        "Try again; if it stays, look at the latency below and at its log.",
    ),
    grpc.StatusCode.UNAVAILABLE: (
        503,
        "The service cannot be reached, or is not ready.",
        "Start `placestream serve`, or wait until it is ready; this page asks again by itself.",
    ),
}
_OTHER = (502, "The service failed.", "Its log says more, under the code that is named here.")


def of_call(failed: CallFailed, address: str) -> Problem:
    """A call that brought no answer, as the page tells it."""
    status, text, advice = _ADVICE.get(failed.code, _OTHER)
    return Problem(status, f"{text} ({address}: {failed})", advice, failed.faults)
