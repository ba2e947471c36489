"""Globs over '/'-separated paths: which documents of a tree are taken.

`*` and `?` stay within a folder, `**` crosses folders and stands for none as well, `[...]` is a set.
Not `fnmatch`, whose `*` crosses folders, nor `PurePath.match`, whose `**` is a `*` before Python 3.13.
"""

import re
import unicodedata
from collections.abc import Sequence
from functools import cache


class PathFilter:
    """Takes a path that matches one of `include` and none of `exclude`."""

    def __init__(self, include: Sequence[str], exclude: Sequence[str], *, hidden: bool) -> None:
        """Compile the globs."""
        self._include = [compile_glob(glob) for glob in include]
        self._exclude = [compile_glob(glob) for glob in exclude]
        self._pruned = [compile_glob(glob[:-3]) for glob in map(_whole_tree, exclude) if glob.endswith("/**")]
        self._hidden = hidden

    def takes(self, path: str) -> bool:
        """Whether a document at `path` (below the root, in NFC) belongs to the source."""
        if not self._hidden and any(part.startswith(".") for part in path.split("/")):
            return False
        if any(glob.fullmatch(path) for glob in self._exclude):
            return False
        return any(glob.fullmatch(path) for glob in self._include)

    def descends(self, folder: str) -> bool:
        """Whether anything below `folder` can be taken: what is left out as a whole need not be readable."""
        if not self._hidden and folder.rpartition("/")[2].startswith("."):
            return False
        return not any(glob.fullmatch(folder) for glob in self._pruned)


@cache
def compile_glob(glob: str) -> re.Pattern[str]:
    """Translate a glob to a regular expression for `fullmatch`."""
    glob = unicodedata.normalize("NFC", glob).removeprefix("./")
    if glob.endswith("/"):
        glob += "**"
    pattern, at = "", 0
    while at < len(glob):
        piece, at = _translate(glob, at)
        pattern += piece
    return re.compile(pattern, re.DOTALL)


def _translate(glob: str, at: int) -> tuple[str, int]:
    """Return the expression for what stands at `at`, and where the next piece starts."""
    if glob.startswith("**", at) and (at == 0 or glob[at - 1] == "/"):
        if glob.startswith("**/", at):
            return "(?:[^/]+/)*", at + 3
        if at + 2 == len(glob):
            return ".+", at + 2
    if glob[at] == "*":
        return "[^/]*", at + len(re.match(r"\*+", glob[at:]).group())  # type: ignore[union-attr]
    if glob[at] == "?":
        return "[^/]", at + 1
    if found := re.match(r"\[([!^]?)(\]?[^\]/]*)\]", glob[at:]):
        negated, members = found.groups()
        members = members.replace("\\", r"\\").replace("[", r"\[").replace("]", r"\]").replace("&", r"\&")
        return f"(?!/)[{'^' if negated else ''}{members}]", at + found.end()
    return re.escape(glob[at]), at + 1


def _whole_tree(glob: str) -> str:
    """Give the globs that leave out a whole folder one form: `folder/**`."""
    return f"{glob}**" if glob.endswith("/") else glob.removesuffix("/*") if glob.endswith("/**/*") else glob
