"""A bucket in memory that fails as it is told to: `troubled://…` for fsspec."""

from collections.abc import Callable

import fsspec
from fsspec.implementations.memory import MemoryFileSystem


class TroubledBucket(MemoryFileSystem):
    """Asks `trouble` before each listing and each opening of an object, and raises what that returns.

    Attributes:
        trouble: takes "list" or "open" and the path; returns an error or None. May sleep.
        asked: what it was asked, in order.
    """

    protocol = "troubled"
    store: dict = {}  # noqa: RUF012 - as the base class has it
    asked: list[tuple[str, str]] = []  # noqa: RUF012 - of all instances, as the store is
    trouble: staticmethod = staticmethod(lambda _what, _path: None)

    @classmethod
    def _strip_protocol(cls, path):
        return super()._strip_protocol(path.replace("troubled://", "memory://", 1))

    @classmethod
    def let(cls, trouble: Callable[[str, str], Exception | None] = lambda _what, _path: None) -> None:
        """Set what goes wrong from now on; by default nothing."""
        cls.trouble = staticmethod(trouble)
        cls.asked.clear()

    def _meet(self, what: str, path: str) -> None:
        self.asked.append((what, path))
        if error := type(self).trouble(what, path):
            raise error

    def ls(self, path, detail=True, **options):  # noqa: FBT002 - the base class's signature
        self._meet("list", path)
        return super().ls(path, detail, **options)

    def _open(self, path, mode="rb", **options):
        if mode == "rb":
            self._meet("open", path)
        return super()._open(path, mode, **options)


fsspec.register_implementation("troubled", TroubledBucket, clobber=True)
