"""What a tick of the sensor decides, from what it saw and what the last one saw. Pure."""

from collections.abc import Mapping

import msgspec

from pipelines_persistence.events import START
from pipelines_persistence.ingestion.identity import value_hash


class Seen(msgspec.Struct, frozen=True):
    """What a tick saw: the sensor's cursor.

    Attributes:
        head: the place of the last event in the log.
        feeds: a signature of what lies in each feed; "" where there is nothing.
        failing: the checks that do not pass, as texts.
    """

    head: str = str(START)
    feeds: dict[str, str] = {}
    failing: frozenset[str] = frozenset()

    @classmethod
    def parse(cls, text: str | None) -> "Seen":
        """Return what a cursor says; one that cannot be read has seen nothing."""
        try:
            return msgspec.json.decode(text, type=cls) if text else cls()
        except msgspec.DecodeError:
            return cls()

    def __str__(self) -> str:
        """Return the cursor."""
        return msgspec.json.encode(self, order="sorted").decode()


class Decision(msgspec.Struct, frozen=True):
    """What to do.

    Attributes:
        report: whether to tell that the log has moved.
        ask_for: the feeds to take in, with their signatures.
        turned: the checks whose verdict is another than before.
        keep: the cursor for the next tick.
    """

    report: bool
    ask_for: dict[str, str]
    turned: frozenset[str]
    keep: Seen

    @property
    def run_key(self) -> str:
        """The same for the same news, so that they ask once."""
        return f"news-{value_hash(self.ask_for)[:16]}"


def decide(before: Seen, now: Seen, *, reported: str | None, is_waiting: bool) -> Decision:
    """Decide what to do.

    Args:
        before: what the last tick saw.
        now: what this one sees.
        reported: the place that the log was last reported at, by whomever: a run may have told of an older one since.
        is_waiting: whether a run that will take in everything has not begun yet.
    """
    fresh = {
        name: signature for name, signature in now.feeds.items() if _is_news(before.feeds, name, signature)
    }
    return Decision(
        report=now.head not in (reported, Seen().head),
        ask_for={} if is_waiting else fresh,
        turned=before.failing ^ now.failing,
        # Where a run waits, the news stay news: it may be cancelled before it has seen them.
        keep=msgspec.structs.replace(now, feeds=dict(before.feeds)) if fresh and is_waiting else now,
    )


def _is_news(before: Mapping[str, str], name: str, signature: str) -> bool:
    return bool(signature) and signature != before.get(name)
