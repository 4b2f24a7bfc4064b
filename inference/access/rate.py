"""How much a client may ask: a token bucket."""

from collections.abc import Callable


class TokenBucket:
    """Lets `burst` requests through at once, and `rate_per_s` a second in the long run.

    What costs more than the burst is let through when the bucket is full, and owed: what comes
    next waits until it is paid off. So a burst smaller than a batch does not shut batches out,
    and the rate holds.

    It belongs to one process: with several services behind a balancer each counts its own.
    """

    def __init__(self, rate_per_s: float, burst: float, clock: Callable[[], float]) -> None:
        """Start full; `clock` gives seconds that only grow."""
        self.rate_per_s = rate_per_s
        self.burst = burst
        self._clock = clock
        self._tokens = burst
        self._at_s = clock()

    def take(self, cost: float = 1) -> float:
        """Take tokens; returns 0, or the seconds until there will be so many, and takes none."""
        wait_s = self.wait_s(cost)
        if not wait_s:
            self._tokens -= cost
        return wait_s

    def wait_s(self, cost: float = 1) -> float:
        """Seconds until `take` would let this through; 0: now."""
        now_s = self._clock()
        self._tokens = min(self.burst, self._tokens + (now_s - self._at_s) * self.rate_per_s)
        self._at_s = now_s
        missing = min(cost, self.burst) - self._tokens
        return max(missing, 0.0) / self.rate_per_s
