"""Where a unit of work begins and ends: a call past the one that is open, or through one that has ended, is refused."""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from pipelines_persistence.errors import UnitMisused

_open: ContextVar[tuple[object, ...]] = ContextVar("open_units", default=())
"""What the units of this context are over: a database, or what stands for one. A new thread has none."""


@contextmanager
def within(place: object) -> Iterator[None]:
    """Mark the block as a unit of work over a place; places are told apart by `==`."""
    token = _open.set((*_open.get(), place))
    try:
        yield
    finally:
        _open.reset(token)


def refuse_within(place: object) -> None:
    """Refuse what would go past a unit that is open over this place, where it would wait for that unit, or stand without it.

    Raises:
        UnitMisused: there is one in this context.
    """
    if place in _open.get():
        raise UnitMisused(
            "a call goes past the unit of work that is open here, and would not be part of it: use the unit's own "
            "work.repository(table) and work.events, and no other unit within it"
        )


class Lifetime:
    """Whether a unit is still open."""

    __slots__ = ("is_over",)

    def __init__(self) -> None:
        """Begin it."""
        self.is_over = False

    def require(self) -> None:
        """Refuse what comes too late.

        Raises:
            UnitMisused: the unit has ended.
        """
        if self.is_over:
            raise UnitMisused(
                "the unit of work has ended, and what it handed out with it: return what you need from the function, "
                "or begin another unit"
            )
