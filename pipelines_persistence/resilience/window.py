"""Counts outcomes over the last seconds, in buckets: the window slides without keeping a record of each call."""

_BUCKETS = 10


class SamplingWindow:
    """A ring of buckets, each a tenth of the window. Not safe for threads: its owner holds a lock."""

    __slots__ = ("_failures", "_numbers", "_span", "_successes")

    def __init__(self, seconds: float) -> None:
        """Take how far back it reaches."""
        self._span = seconds / _BUCKETS
        self.clear()

    def clear(self) -> None:
        """Forget everything."""
        self._numbers = [-1] * _BUCKETS
        self._successes = [0] * _BUCKETS
        self._failures = [0] * _BUCKETS

    def succeeded(self, now: float) -> None:
        """Count a success at a moment of a monotonic clock (seconds)."""
        self._successes[self._bucket(now)] += 1

    def failed(self, now: float) -> None:
        """Count a failure; see `succeeded`."""
        self._failures[self._bucket(now)] += 1

    def counts(self, now: float) -> tuple[int, int]:
        """Return the calls and the failures within the window that ends at a moment."""
        oldest = int(now / self._span) - _BUCKETS + 1
        places = [place for place, number in enumerate(self._numbers) if number >= oldest]
        failures = sum(self._failures[place] for place in places)
        return failures + sum(self._successes[place] for place in places), failures

    def _bucket(self, now: float) -> int:
        number = int(now / self._span)
        place = number % _BUCKETS
        if self._numbers[place] != number:
            self._numbers[place] = number
            self._successes[place] = self._failures[place] = 0
        return place
