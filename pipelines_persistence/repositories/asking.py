"""Conditions as people type them: `events>=10`, `reason=null`, `tags=team=search`."""

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any, TypeAlias, get_type_hints

import msgspec

from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.repositories.specification import Field, Specification, field, nothing
from pipelines_persistence.repositories.tables import Column, Kind, Table, column_named, columns_of
from pipelines_persistence.repositories.values import item_type, misfit

Catalog: TypeAlias = Mapping[str, Callable[..., Specification[Any]]]
"""Specifications by name; what they are called with is told by their annotations."""

_CONDITION = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)(>=|<=|!=|\^=|=|<|>)(.*)", re.DOTALL)
_TYPES: dict[Kind, Any] = {
    Kind.TEXT: str,
    Kind.INTEGER: int,
    Kind.FLOAT: float,
    Kind.BOOLEAN: bool,
    Kind.MOMENT: datetime,
}
_COMPARISONS: Mapping[str, Callable[[Field, Any], Specification[Any]]] = {
    ">=": lambda name, value: name >= value,
    "<=": lambda name, value: name <= value,
    "<": lambda name, value: name < value,
    ">": lambda name, value: name > value,
    "^=": lambda name, value: name.starts_with(value),
}


def asked(table: Table[Any], text: str) -> Specification[Any]:
    """Return what a condition means.

    Args:
        table: whose rows are asked for.
        text: a column, one of `= != < <= > >= ^=`, and a value; `^=` means "starts with". A list equals each of its items.
            For a column that may be null, `null` is null, and a text in double quotes is that text.

    Raises:
        ConfigurationError: it is no condition, names no column, or its value does not fit.
    """
    match = _CONDITION.fullmatch(text)
    if match is None:
        raise ConfigurationError(
            f"{text!r} is no condition: expected column=value, or another of != < <= > >= ^="
        )
    name, sign, given = match.groups()
    column = column_named(columns_of(table.row), name)
    if sign in _COMPARISONS:
        return _COMPARISONS[sign](field(name), _value(column, given))
    wanted = _equal(column, given)
    return ~wanted if sign == "!=" else wanted


def named(catalog: Catalog, text: str) -> Specification[Any]:
    """Return a specification of a catalog: `active_pipelines`, `pipelines_by_tag:team,search`.

    Raises:
        ConfigurationError: there is none of that name, or its arguments do not fit.
    """
    name, _, rest = text.partition(":")
    if name not in catalog:
        raise ConfigurationError(
            f"there is no specification {name!r}: there are {', '.join(catalog) or 'none'}"
        )
    hints = {word: kind for word, kind in get_type_hints(catalog[name]).items() if word != "return"}
    given = rest.split(",", len(hints) - 1) if rest and hints else [rest] * bool(rest)
    wanted = ",".join(word.upper() for word in hints)
    if len(given) != len(hints):
        example = f"{name}:{wanted}" if hints else name
        raise ConfigurationError(
            f"{text!r}: {name} takes {wanted or 'no argument'}; got {len(given) or 'none'}: write {example}"
        )
    return catalog[name](
        *(
            _argument(text, word, kind, value)
            for (word, kind), value in zip(hints.items(), given, strict=True)
        )
    )


def _argument(text: str, word: str, kind: Any, given: str) -> Any:  # noqa: ANN401 - as the specification has it
    try:
        return msgspec.convert(given, kind, strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise ConfigurationError(f"{text!r}: {given!r} does not fit {word.upper()}: {error}") from error


def _equal(column: Column, given: str) -> Specification[Any]:
    if column.nullable and given == "null":
        return field(column.name).is_null()
    kind = item_type(column)
    if kind is None:
        return field(column.name).in_([_value(column, given)])
    wanted = nothing()
    for item in _readings(column, kind, given):
        wanted |= field(column.name).contains(item)
    return wanted


def _value(column: Column, given: str) -> Any:  # noqa: ANN401 - as the column has it
    if column.nullable and column.kind is Kind.TEXT and given[:1] == '"':
        return _decoded(column, given)
    if column.kind is Kind.JSON:
        return _json(column, given)
    try:
        return msgspec.convert(given, _TYPES[column.kind], strict=False)
    except (msgspec.ValidationError, ValueError) as error:
        raise misfit(column, given, str(error)) from error


def _json(column: Column, given: str) -> Any:  # noqa: ANN401 - as above
    try:
        return msgspec.convert(given, column.type, strict=False)
    except (msgspec.ValidationError, ValueError):
        return _decoded(column, given)


def _decoded(column: Column, given: str) -> Any:  # noqa: ANN401 - as above
    try:
        return msgspec.json.decode(given)
    except msgspec.DecodeError as error:
        raise misfit(column, given, f"it is no JSON either: {error}") from error


def _readings(column: Column, kind: Any, given: str) -> list[Any]:  # noqa: ANN401 - any type
    """Return what a text may mean as an item: itself, or the number, truth or null that it spells."""
    found = list[Any]()
    try:
        spelt = [given, msgspec.json.decode(given, type=bool | int | float | None)]
    except msgspec.DecodeError:
        spelt = [given]
    for reading in spelt:
        try:
            found.append(msgspec.convert(reading, kind))
        except (msgspec.ValidationError, ValueError):
            continue
    if not found:
        raise misfit(column, given, "there is no such item")
    return found
