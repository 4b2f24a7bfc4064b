"""How often a client may ask: a token bucket."""

from collections.abc import Callable


class TokenBucket:
    """Lets `burst` requests through at once, and `rate_per_s` a second in the long run.

    It belongs to one process: with several services behind a balancer each counts its own.
    """

    def __init__(self, rate_per_s: float, burst: float, clock: Callable[[], float]) -> None:
        """Start full; `clock` gives seconds that only grow."""
        self.rate_per_s = rate_per_s
        self.burst = burst
        self._clock = clock
        self._tokens = burst
        self._at_s = clock()

    def take(self) -> float:
        """Take a token; returns 0, or the seconds until there will be one."""
        now_s = self._clock()
        self._tokens = min(self.burst, self._tokens + (now_s - self._at_s) * self.rate_per_s)
        self._at_s = now_s
        if self._tokens >= 1:
            self._tokens -= 1
            return 0.0
        return (1 - self._tokens) / self.rate_per_s
