"""Every error the platform raises on purpose, in one tree.

The tree answers the two questions a caller has: *may I try again?* (`TransientError`) and
*what do I do next?* (the message ends with it).

    PipelinesError
    ├── ConfigurationError      the configuration, an option or an argument is wrong
    ├── RunCancelled            someone asked the run to stop, and it did, between two batches
    ├── TransientError          the same call may succeed later
    │   ├── SourceUnavailable   a source cannot be listed or read as a whole
    │   ├── IndexBusy           another run holds the index
    │   ├── StoreUnavailable    the vector store does not answer, or is locked by another process
    │   ├── EmbedderUnavailable an embedder that is a service does not answer
    │   ├── DatabaseUnavailable the database does not answer
    │   │   └── DatabaseContended   it does, but others were faster at the same rows each time
    │   ├── CacheUnavailable    the shared cache does not answer
    │   └── CircuitOpen         a dependency failed too often a moment ago; nothing was tried
    └── PermanentError          the same call fails again until something is changed
        ├── DocumentError       one document cannot be read, parsed or embedded; the run goes on
        ├── EmbeddingError      the embedder fails, or returns something that is no vector
        ├── IndexNotFound       no such index, or nothing has been ingested into it
        ├── AliasTaken          another home has an index of that name in the same vector store
        ├── StoreError          the vector store refuses what it was given, or is damaged
        ├── StorageError        the home cannot be written: permissions, a full disk
        ├── EventRefused        an event is malformed, or its id is taken; nothing was appended
        ├── ConcurrencyConflict a stream is not at the version that its writer expected
        ├── RowConflict         a row is not at the version that its writer read
        ├── UnitMisused         a call went past the unit of work that is open, or through one that has ended
        ├── StreamClosed        a stream was archived or tombstoned, and takes no further event
        ├── PersonalDataDamaged a sealed field of an event was changed or moved since it was appended
        └── ProjectionFailed    a projection cannot work an event in, and its policy is to stop
"""

from enum import StrEnum


class PipelinesError(Exception):
    """Base of all errors of the platform; `str(error)` is fit to be shown to a person."""


class ConfigurationError(PipelinesError):
    """The configuration, an option or an argument is wrong: nothing was started."""


class RunCancelled(PipelinesError):
    """Someone asked the run to stop; what was written is recorded, and the next run goes on from there."""


class TransientError(PipelinesError):
    """The same call may succeed later.

    Attributes:
        retry_after: seconds to wait, where whoever refused said so.
    """

    retry_after: float | None = None

    def __init__(self, *args: object, retry_after: float | None = None) -> None:
        """Keep the message, and when to try again."""
        super().__init__(*args)
        self.retry_after = retry_after


class PermanentError(PipelinesError):
    """The same call fails again until something is changed."""


class SourceUnavailable(TransientError):
    """A source cannot be listed, or vanished while it was read. Nothing is deleted on its account."""


class IndexBusy(TransientError):
    """Another run holds the index."""


class StoreUnavailable(TransientError):
    """The vector store does not answer in time."""


class DatabaseUnavailable(TransientError):
    """The database does not answer.

    What was to be written may stand or not; the same call may be repeated, for event ids tell.
    """


class DatabaseContended(DatabaseUnavailable):
    """The database answers, but each attempt of a transaction lost a race for the same rows: nothing was written.

    It was tried for some seconds already, so nobody below repeats it.
    """


class EmbedderUnavailable(TransientError):
    """An embedder that is a service does not answer in time."""


class CacheUnavailable(TransientError):
    """The shared cache does not answer; whoever reads through the coordinator never sees this."""


class CircuitOpen(TransientError):
    """A dependency failed too often a moment ago, and is left alone until its break is over.

    Attributes:
        dependency: its name.
        retry_after: seconds until it is tried again.
    """

    retry_after: float

    def __init__(self, dependency: str, retry_after: float) -> None:
        """Keep what is left alone, and for how long (seconds)."""
        self.dependency = dependency
        super().__init__(
            f"{dependency} failed too often and is left alone for {retry_after:.1f} s more: try again then; "
            "`pipelines doctor` shows whether it answers",
            retry_after=retry_after,
        )


class Reason(StrEnum):
    """Why a document is not in the index, as a stable word."""

    EMPTY = "empty"
    NO_TEXT = "no_text"
    BINARY = "binary"
    UNSUPPORTED = "unsupported"
    DANGLING_LINK = "dangling_link"
    LINK_OUTSIDE_ROOT = "link_outside_root"
    LINK_TO_FOLDER = "link_to_folder"
    SPECIAL_FILE = "special_file"
    ENCRYPTED = "encrypted"
    MALFORMED = "malformed"
    UNDECODABLE = "undecodable"
    TOO_LARGE = "too_large"
    TOO_MANY_PAGES = "too_many_pages"
    EXPANSION = "expansion"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    UNREADABLE = "unreadable"
    NOT_EMBEDDABLE = "not_embeddable"

    @property
    def is_skip(self) -> bool:
        """Whether there is nothing to index, as against something that should have been indexed."""
        return self in _SKIPS


_SKIPS = frozenset(
    {
        Reason.EMPTY,
        Reason.NO_TEXT,
        Reason.BINARY,
        Reason.UNSUPPORTED,
        Reason.DANGLING_LINK,
        Reason.LINK_OUTSIDE_ROOT,
        Reason.LINK_TO_FOLDER,
        Reason.SPECIAL_FILE,
    }
)


class DocumentError(PermanentError):
    """One document cannot be indexed; the run records it as its outcome and goes on.

    Attributes:
        reason: the stable word that programs match on.
        detail: the sentence for people; never contains document text.
    """

    def __init__(self, reason: Reason, detail: str = "") -> None:
        """Keep the word and the sentence."""
        self.reason = reason
        self.detail = detail
        super().__init__(f"{reason}: {detail}" if detail else str(reason))


class EmbeddingError(PermanentError):
    """The embedder fails, or returns something that is no usable vector."""


class IndexNotFound(PermanentError):
    """No such index, or nothing has been ingested into it yet."""


class AliasTaken(PermanentError):
    """Another home has an index of the same name in the same vector store."""


class StoreError(PermanentError):
    """The vector store refuses what it was given, or is damaged."""


class StorageError(PermanentError):
    """The home cannot be written: permissions, a read-only file system, a full disk."""


class EventRefused(PermanentError):
    """An event is malformed, or its id is taken by another; nothing was appended."""


class EventTooNew(PermanentError):
    """An event has a schema version that this process does not know.

    Attributes:
        stream: its stream.
        version: its place in the stream.
        type: its type.
        schema_version: of its data.
        known: the newest schema version of that type that this process knows.
    """

    def __init__(self, stream: str, version: int, type: str, schema_version: int, known: int) -> None:  # noqa: A002 - the attribute's name
        """Keep which event it is, and what is known."""
        self.stream = stream
        self.version = version
        self.type = type
        self.schema_version = schema_version
        self.known = known
        super().__init__(
            f"version {version} of the stream {stream!r} is {type!r} in schema version {schema_version}, and this "
            f"process knows versions up to {known}: upgrade this process, then read it again"
        )


class ConcurrencyConflict(PermanentError):
    """A stream is not at the version that its writer expected: read it again, decide again, then append.

    Attributes:
        stream: its id.
        expected: the version, or "no_stream" or "stream_exists".
        actual: the version of its last event, 0 where there is none.
    """

    def __init__(self, stream: str, expected: int | str, actual: int) -> None:
        """Keep what was expected and what stands."""
        self.stream = stream
        self.expected = expected
        self.actual = actual
        super().__init__(
            f"the stream {stream!r} is at version {actual}, not {expected}: read it again and decide anew"
        )


class StreamClosed(PermanentError):
    """A stream was archived or tombstoned, and takes no further event.

    Attributes:
        stream: its id.
        how: "archived" or "tombstoned".
    """

    def __init__(self, stream: str, how: str) -> None:
        """Keep the stream and how it was closed."""
        self.stream = stream
        self.how = how
        super().__init__(f"the stream {stream!r} was {how}, and takes no further event: begin another")


class PersonalDataDamaged(PermanentError):
    """A sealed field of an event was changed or moved since it was appended; it is never shown as a forgotten one.

    Attributes:
        stream: the event's stream.
        version: the event's version in it.
        field: the path of the field in the event's data; empty where the data is no longer JSON.
    """

    def __init__(self, stream: str, version: int, field: str) -> None:
        """Keep where it is."""
        self.stream = stream
        self.version = version
        self.field = field
        super().__init__(
            f"the personal data at {field!r} in version {version} of the stream {stream!r} was changed or moved since "
            "it was appended: restore that row from a backup, or tombstone the stream"
        )


class ProjectionFailed(PermanentError):
    """A projection stopped before an event that it cannot work in; what came before it is in the read model."""


class AggregateNotFound(PermanentError):
    """There is no such aggregate, or there was none yet at the version or moment that was asked for.

    Attributes:
        stream: the id of its stream.
    """

    def __init__(self, stream: str, detail: str) -> None:
        """Keep the stream, and say what was looked for and what to do."""
        self.stream = stream
        super().__init__(f"the stream {stream!r} {detail}")


class CommandRefused(PermanentError):
    """An aggregate does not do what would break one of its rules; nothing was recorded."""


class UnitMisused(PermanentError):
    """A call went past the unit of work that is open here, or through one that has ended; it did nothing."""


class RowConflict(PermanentError):
    """A row is not as its writer expected: read it again, decide again, then write.

    Attributes:
        table: its name.
        key: the values of its key.
        expected: the version, or "absent" or "present".
        actual: the version, or "absent" or "present".
    """

    def __init__(
        self, table: str, key: tuple[str | int, ...], expected: int | str, actual: int | str
    ) -> None:
        """Keep what was expected and what stands."""
        self.table = table
        self.key = key
        self.expected = expected
        self.actual = actual
        super().__init__(
            f"the row {', '.join(map(repr, key))} of {table!r} is {_version(actual)}, not {_version(expected)}: "
            "read it again and decide anew"
        )


def _version(known: int | str) -> str:
    return known if isinstance(known, str) else f"at version {known}"
