r"""Finds values in JSON text and replaces them; every other byte stays as it is.

Decoding and writing again would change what the rest says: `1.10`, large integers, `\u00e9`, blanks, a name that comes
twice. The text must have passed `codec.check`.
"""

import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from functools import cache
from itertools import count
from typing import NamedTuple, TypeAlias

from pipelines_persistence.errors import EventRefused
from pipelines_persistence.events.codec import decode

Tree: TypeAlias = "dict[str, Tree]"
"""The next names of some paths; a name without any below it ends one."""

# Levels. What could be sealed can then be revealed, however deep in calls the reader stands.
_DEEPEST = 100

# No pattern ever steps back: text of any size is passed over in one go and in little memory.
_STRING = rb'"(?:[^"\\]++|\\.)*+"'


def _container(levels: int) -> bytes:
    inner = rb"|" + _container(levels - 1) if levels else b""
    return rb'[\[{](?:[^"\[\]{}]++|' + _STRING + inner + rb")*+[\]}]"


_SPACE = rb"[ \t\n\r]*+"
# Passes over a value in one step, unless it is nested more deeply than is usual: then it is empty.
_VALUE = rb"(" + _STRING + rb'|[^\s\[\]{}",]++|' + _container(4) + rb"|(?=[\[{]))"
_member = re.compile(
    _SPACE + rb"[{,]" + _SPACE + rb"(" + _STRING + rb")" + _SPACE + rb":" + _SPACE + _VALUE
).match
_item = re.compile(_SPACE + rb"[\[,]" + _SPACE + rb"()" + _VALUE).match
_to_bracket = re.compile(rb'(?:[^"\[\]{}]++|' + _STRING + rb")*+([\[\]{}])").match
_names = re.compile(rb"(" + _STRING + rb")(" + _SPACE + rb":)?").finditer


class Place(NamedTuple):
    """A value in JSON text.

    Attributes:
        path: the names and list indices that lead to it.
        start: of its first byte.
        end: behind its last byte.
    """

    path: tuple[str | int, ...]
    start: int
    end: int

    def __str__(self) -> str:
        """Return the path for a person."""
        return ".".join(map(str, self.path))


@cache
def tree(paths: frozenset[str]) -> Tree:
    """Return dotted paths as a tree.

    "user.email" means `{"user": {"email": …}}` and `{"user.email": …}` alike: if it meant only one of them, the other
    would pass by unseen.
    """
    ends: Tree = {path: {} for path in paths}
    below: defaultdict[str, set[str]] = defaultdict(set)
    for path in paths:
        names = path.split(".")
        for cut in range(1, len(names)):
            below[".".join(names[:cut])].add(".".join(names[cut:]))
    return {name: tree(frozenset(rest)) for name, rest in below.items()} | ends


def select(data: bytes, wanted: Tree) -> list[Place]:
    """Return the values at the ends of a tree, in their order; nulls and what is not there are left out.

    Raises:
        EventRefused: a path leads through a value that is neither object nor list, or is too deep.
    """
    return list(_selected(data, _root(data), wanted))


def locate(data: bytes, starts: Sequence[int]) -> list[Place]:
    """Return the values that begin at these offsets, which rise; a value inside another one of them is not found."""
    return list(_located(data, _root(data), list(reversed(starts)))) if starts else []


def splice(data: bytes, places: Sequence[Place], values: Sequence[bytes]) -> bytes:
    """Return the text with the values at some places, in their order, replaced."""
    parts, position = [], 0
    for place, value in zip(places, values, strict=True):
        parts += [data[position : place.start], value]
        position = place.end
    return b"".join([*parts, data[position:]])


def has_name(data: bytes, name: str) -> bool:
    """Tell whether an object anywhere in the text has a member of this name (in ASCII)."""
    # A scan in C rules out nearly all: without an escape, a name stands there as it is.
    if name.encode() not in data and b"\\u" not in data:
        return False
    return any(match[2] and _text(match[1]) == name for match in _names(data))


def _selected(data: bytes, place: Place, wanted: Tree) -> Iterator[Place]:
    if data[place.start : place.end] == b"null":
        return
    if len(place.path) > _DEEPEST:
        raise EventRefused(f"personal data lies more than {_DEEPEST} levels deep: make the event flatter")
    if not wanted:
        yield place
        return
    if data[place.start] not in b"{[":
        raise EventRefused(
            f"{str(place)!r} in the event's data is neither object nor list, yet the rule for personal data names fields "
            "below it: change the event, or name this field in the rule"
        )
    for name, start, end in _children(data, place.start):
        below = wanted.get(name) if isinstance(name, str) else wanted
        if below is not None:
            yield from _selected(data, Place((*place.path, name), start, end), below)


def _located(data: bytes, place: Place, starts: list[int]) -> Iterator[Place]:
    for name, start, end in _children(data, place.start):
        if start <= starts[-1] < end:
            child = Place((*place.path, name), start, end)
            if start < starts[-1]:
                yield from _located(data, child, starts)
            else:
                starts.pop()
                yield child
        if not starts:
            return


def _children(data: bytes, start: int) -> Iterator[tuple[str | int, int, int]]:
    is_object = data[start] == ord("{")
    step = _member if is_object else _item
    end = start
    for index in count():
        if not (match := step(data, end)):
            return
        start, end = match.span(2)
        if start == end:
            end = _container_end(data, start)
        yield _text(match[1]) if is_object else index, start, end


def _container_end(data: bytes, start: int) -> int:
    depth, end = 0, start
    while match := _to_bracket(data, end):
        end = match.end()
        depth += 1 if match[1] in b"{[" else -1
        if not depth:
            break
    return end


def _root(data: bytes) -> Place:
    return Place((), len(data) - len(data.lstrip()), len(data.rstrip()))


def _text(string: bytes) -> str:
    return decode(string, str) if b"\\" in string else string[1:-1].decode()
