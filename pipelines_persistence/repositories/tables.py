"""Tables, declared by the struct of their rows."""

import difflib
import re
import types
import typing
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from operator import attrgetter
from typing import Any, Generic, TypeVar, get_args, get_origin

import msgspec

from pipelines_persistence.errors import ConfigurationError

R = TypeVar("R", bound=msgspec.Struct)

Key = tuple[str | int, ...]
"""The values of a row's key columns, in their order."""

LONGEST = 2_000
"""Bytes of the texts in a key, or in an index, of one row together: PostgreSQL keeps up to some 2,700 in an index."""

_SYSTEM = frozenset({"tableoid", "xmin", "cmin", "xmax", "cmax", "ctid"})
"""Names that PostgreSQL has for columns of its own in every table."""

_NAME = re.compile(r"[a-z][a-z0-9_]{0,39}").fullmatch


class Kind(StrEnum):
    """What a column holds."""

    TEXT = "text"
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    MOMENT = "moment"
    JSON = "json"


_KINDS: dict[object, Kind] = {
    str: Kind.TEXT,
    int: Kind.INTEGER,
    float: Kind.FLOAT,
    bool: Kind.BOOLEAN,
    datetime: Kind.MOMENT,
}


class Column(msgspec.Struct, frozen=True):
    """A column of a table.

    Attributes:
        type: of the row's field, without its None; what is neither text, number, truth nor moment is kept as JSON.
    """

    name: str
    kind: Kind
    type: Any
    nullable: bool


_known: dict[type[Any], Mapping[str, Column]] = {}


class Table(Generic[R]):
    """A table whose rows are instances of a struct.

    Attributes:
        row: the struct; mutable, so that a handler changes what it got and puts it back.
        key: the fields that identify a row, texts or integers.
        name: of the table within its read model, "" for the main one; of a table of one's own, always.
        columns: one for each field of the struct.
        indexes: further columns to find rows by.
        order: how rows are shown, by fields; "-" before a name means the greatest first.
        version: the integer field that counts the changes of a row, for a repository to tell lost updates by; "" for none.
    """

    def __init__(
        self,
        row: type[R],
        key: Sequence[str],
        *,
        name: str = "",
        indexes: Sequence[Sequence[str]] = (),
        order: Sequence[str] = (),
        version: str = "",
    ) -> None:
        """Read the columns from the struct.

        Raises:
            ConfigurationError: a name cannot be one in a database, or the key is none.
        """
        self.row = row
        self.key = tuple(key)
        self._key_of: Callable[[R], Any] = attrgetter(*self.key)
        self.name = name
        self.indexes = tuple(tuple(index) for index in indexes)
        self.order = tuple(order)
        self.version = version
        self.columns = tuple(columns_of(row).values())
        names = [column.name for column in self.columns]
        for word in (*names, *([name] if name else [])):
            require_name(word)
        if taken := sorted(_SYSTEM.intersection(names)):
            raise ConfigurationError(
                f"{row.__name__}: PostgreSQL has columns of its own named {', '.join(taken)} in every table: name them otherwise"
            )
        fits = [column for column in self.columns if column.name in self.key and _fits_key(column)]
        if not key or len(fits) < len(self.key):
            raise ConfigurationError(
                f"{row.__name__}: the key {self.key} must name fields that are texts or integers"
            )
        config = row.__struct_config__
        if config.omit_defaults or config.array_like or config.tag is not None:
            raise ConfigurationError(
                f"{row.__name__}: a row is written whole, with its fields by name: no omit_defaults, array_like or tag"
            )
        if renamed := [
            field.name for field in msgspec.structs.fields(row) if field.encode_name != field.name
        ]:
            raise ConfigurationError(
                f"{row.__name__}: columns have the names of the fields, without rename: {renamed}"
            )
        used = {word for index in self.indexes for word in index} | {word.lstrip("-") for word in self.order}
        if unknown := used - set(names):
            raise ConfigurationError(f"{row.__name__}: no such fields: {sorted(unknown)}")
        kinds = columns_of(row)
        if json := sorted({word for word in used if kinds[word].kind is Kind.JSON}):
            raise ConfigurationError(
                f"{row.__name__}: {json} are kept as JSON, which has no order: neither index nor order by them"
            )
        if version and not _counts(columns_of(row).get(version), self.key):
            raise ConfigurationError(
                f"{row.__name__}: the version {version!r} must name an integer beside the key"
            )

    def key_of(self, row: R) -> Key:
        """Return the key of a row."""
        key = self._key_of(row)
        return key if len(self.key) > 1 else (key,)

    @cached_property
    def indexed(self) -> tuple[tuple[str, ...], ...]:
        """The fields with texts of the key and of each index, whose lengths are bounded: see `LONGEST`."""
        kinds = columns_of(self.row)
        texts = (
            tuple(name for name in names if kinds[name].kind is Kind.TEXT)
            for names in (self.key, *self.indexes)
        )
        return tuple(names for names in texts if names)

    @property
    def signature(self) -> list[str]:
        """What decides how the table looks: if it changes, the read model is built anew."""
        return [
            self.name,
            *self.key,
            *(f"{column.name} {column.kind} {column.nullable}" for column in self.columns),
            *(",".join(index) for index in self.indexes),
        ]


def columns_of(row: type[Any]) -> Mapping[str, Column]:
    """Return the columns of a struct by their names, in their order."""
    if row not in _known:
        _known[row] = {field.name: _column(field) for field in msgspec.structs.fields(row)}
    return _known[row]


def column_named(columns: Mapping[str, Column], name: str) -> Column:
    """Return a column.

    Raises:
        ConfigurationError: there is none of that name.
    """
    if name in columns:
        return columns[name]
    near = difflib.get_close_matches(name, columns, 1)
    hint = f" (did you mean {near[0]!r}?)" if near else ""
    raise ConfigurationError(f"there is no column {name!r}{hint}: there are {', '.join(columns)}")


def require_name(name: str) -> None:
    """Refuse what is no plain name: it becomes part of SQL.

    Raises:
        ConfigurationError: it has other than lower-case letters, digits and '_', or more than 40 of them.
    """
    if not _NAME(name):
        raise ConfigurationError(f"{name!r} is no name for a table or column: a-z, 0-9 and _, at most 40")


def _column(field: msgspec.structs.FieldInfo) -> Column:
    kind, nullable = plain_type(field.type), _takes_null(field.type)
    if isinstance(kind, type) and issubclass(kind, StrEnum):
        return Column(field.name, Kind.TEXT, kind, nullable)
    if kind in _KINDS:
        return Column(field.name, _KINDS[kind], kind, nullable)
    return Column(field.name, Kind.JSON, field.type, nullable)


def plain_type(kind: Any) -> Any:  # noqa: ANN401 - any type
    """Return a type without its annotations and its None, as far as one type is left."""
    if get_origin(kind) is typing.Annotated:
        return plain_type(get_args(kind)[0])
    if get_origin(kind) in (types.UnionType, typing.Union):
        members = [member for member in get_args(kind) if member is not type(None)]
        return plain_type(members[0]) if len(members) == 1 else kind
    return kind


def _takes_null(kind: Any) -> bool:  # noqa: ANN401 - any type
    """Tell whether None is of a type: of `Any` and `Literal["a", None]`, too."""
    try:
        msgspec.convert(None, kind)
    except (msgspec.ValidationError, TypeError):
        return False
    return True


def _fits_key(column: Column) -> bool:
    return column.kind in (Kind.TEXT, Kind.INTEGER) and not column.nullable


def _counts(column: Column | None, key: Sequence[str]) -> bool:
    return (
        column is not None and column.kind is Kind.INTEGER and not column.nullable and column.name not in key
    )
