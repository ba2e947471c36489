"""Pages by keyset: the next one begins after the last row of this one, whatever was inserted or removed meanwhile."""

import base64
import binascii
import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Generic

import msgspec

from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.repositories.conditions import reader
from pipelines_persistence.repositories.including import Relation, S, link_of
from pipelines_persistence.repositories.ordering import Term
from pipelines_persistence.repositories.tables import Kind, R, Table

_TYPES: Mapping[Kind, type] = {
    Kind.TEXT: str,
    Kind.INTEGER: int,
    Kind.FLOAT: str,
    Kind.BOOLEAN: bool,
    Kind.MOMENT: datetime,
}


class _Place(msgspec.Struct, array_like=True):
    order: str
    values: list[Any]


@dataclass(frozen=True)  # without slots, which a frozen generic class cannot be called with: Page[T](...)
class Page(Generic[R]):
    """Some rows.

    Attributes:
        items: in their order.
        next: what to give as `after` for the page that follows; None where none does.
        included: by the name of a relation and by the values that link, the related rows.
    """

    items: list[R]
    next: str | None = None
    included: Mapping[str, Mapping[tuple[Any, ...], Sequence[Any]]] = field(default_factory=dict)

    def related(self, relation: Relation[S], row: R) -> Sequence[S]:
        """Return what was included for a row.

        Raises:
            ConfigurationError: the relation was not included.
        """
        if relation.name not in self.included:
            raise ConfigurationError(f"{relation.name!r} was not included: name it in include=[...]")
        return self.included[relation.name].get(link_of(relation.by, row), ())


def token_of(table: Table[R], order: Sequence[Term], row: R) -> str:
    """Return where a row stands in an order, as a text for `place_in`."""
    values = [_written(term, reader(term.column)(row)) for term in order]
    data = msgspec.json.encode(_Place(_digest(table, order), values))
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


def place_in(table: Table[Any], order: Sequence[Term], token: str) -> list[Any]:
    """Return the values that a token stands for, one for each term.

    Raises:
        ConfigurationError: it is no token, or one of another table or order.
    """
    try:
        data = base64.b64decode(token + "=" * (-len(token) % 4), altchars="-_", validate=True)
        place = msgspec.json.decode(data, type=_Place)
        if place.order != _digest(table, order):
            raise ConfigurationError(
                f"the token {token!r} belongs to another table or order: begin without it, or order as before"
            )
        return [_read(term, value) for term, value in zip(order, place.values, strict=True)]
    except (msgspec.DecodeError, msgspec.ValidationError, binascii.Error, ValueError, OverflowError) as error:
        raise ConfigurationError(
            f"{token!r} is no token of a page: give the `next` of one, as it is"
        ) from error


def _digest(table: Table[Any], order: Sequence[Term]) -> str:
    parts = [f"{term.column.name} {term.column.kind} {term.is_descending}" for term in order]
    return hashlib.sha256("\n".join([table.row.__name__, *parts]).encode()).hexdigest()[:12]


def _written(term: Term, value: Any) -> object:  # noqa: ANN401 - of any column
    return value.hex() if term.column.kind is Kind.FLOAT and value is not None else value


def _read(term: Term, value: object) -> object:
    column = term.column
    if value is None and column.nullable:
        return None
    known: object = msgspec.convert(value, _TYPES[column.kind])
    if isinstance(known, datetime) and known.utcoffset() is None:
        raise ValueError("a moment without a zone")
    return float.fromhex(known) if column.kind is Kind.FLOAT and isinstance(known, str) else known
