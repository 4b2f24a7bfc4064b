"""What went wrong, in words for a person, with what to do about it."""

from dataclasses import dataclass

import grpc

from placestream import next_step
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


_SAID: dict[grpc.StatusCode, tuple[int, str]] = {
    grpc.StatusCode.INVALID_ARGUMENT: (400, "The service refused it."),
    grpc.StatusCode.UNAUTHENTICATED: (502, "The service does not know the console."),
    grpc.StatusCode.PERMISSION_DENIED: (502, "The service does not let the console do that."),
    grpc.StatusCode.RESOURCE_EXHAUSTED: (503, "The service has too much to do."),
    grpc.StatusCode.DEADLINE_EXCEEDED: (504, "The service did not answer in time."),
    grpc.StatusCode.UNAVAILABLE: (503, "The service cannot be reached, or is not ready."),
}
_OTHER = (502, "The service failed.")


def of_call(failed: CallFailed, address: str) -> Problem:
    """A call that brought no answer, as the page tells it."""
    status, text = _SAID.get(failed.code, _OTHER)
    advice = next_step.of_service(failed.code)
    if failed.code is grpc.StatusCode.UNAVAILABLE:
        advice += " This page asks again by itself."
    return Problem(status, f"{text} ({address}: {failed})", advice, failed.faults)
