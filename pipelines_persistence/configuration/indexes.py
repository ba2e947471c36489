"""The model of an index: what to index, from where, how."""

from datetime import date
from typing import Annotated, Literal, Self, TypeAlias

from pydantic import (
    AfterValidator,
    Field,
    ValidationError,
    ValidatorFunctionWrapHandler,
    WrapValidator,
    model_validator,
)

from pipelines_persistence.configuration.model import CUSTOM, Cron, Model, Name, Owner
from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.records import (
    CollectionSpec,
    Distance,
    HnswSpec,
    IndexedType,
    Scalar,
    field_path,
    payload_key,
)

DEFAULT_MODEL = "all-MiniLM-L6-v2"
BACKENDS = ("openvino", "sentence-transformers", "hash")


def _known_backend(value: str) -> str:
    if value not in BACKENDS and not CUSTOM.fullmatch(value):
        known = ", ".join(BACKENDS)
        raise ValueError(
            f"{value!r} is no backend: expected one of {known}, or an import path 'module:attribute'"
        )
    return value


def _is_key(value: str) -> str:
    try:
        field_path(value)
    except ConfigurationError as error:
        raise ValueError(str(error)) from error
    return value


Key = Annotated[str, AfterValidator(_is_key)]
"""A payload field or a metadata key, in the notation of filters."""


def _is_key_or_none(value: str) -> str:
    return value and _is_key(value)


def _typed(value: object, validate: ValidatorFunctionWrapHandler) -> object:
    """Say in one sentence what no member of the union is."""
    try:
        return validate(value)
    except ValidationError:
        items = value if isinstance(value, list) else [value]
        if any(isinstance(item, date) for item in items):
            raise ValueError("metadata has no dates: put quotes around the date") from None
        raise ValueError("expected a text, a number, true, false, or a list of texts or of numbers") from None


MetadataValue: TypeAlias = Annotated[Scalar | list[str] | list[int] | list[float], WrapValidator(_typed)]


class SourceConfig(Model):
    """A tree of documents."""

    name: Name
    """Names the source within its index; a part of every document's identity."""

    uri: str = Field(
        min_length=1, examples=["docs/", "handbook.zip", "s3://bucket/docs", "python-packages://"]
    )
    """A folder, one file, a .zip or .tar archive, any fsspec URL, or python-packages:// for the
    documentation that comes with the installed Python packages. Relative paths start at the folder of this file."""

    include: tuple[str, ...] = ("**/*",)
    """Globs over the path below the root: `*` stays within a folder, `**` crosses folders."""

    exclude: tuple[str, ...] = ()
    """Globs of what to leave out; wins over `include`."""

    hidden: bool = False
    """Whether files and folders whose name starts with a dot are documents too."""

    metadata: dict[str, MetadataValue] = Field(default_factory=dict)
    """Stored with every chunk of this source, typed as written here. Put quotes around a date; a payload index of type
    datetime reads it."""


class ChunkingConfig(Model):
    """How a document is cut."""

    tokens: int | None = Field(default=None, ge=16, le=32_768)
    """The most tokens of a chunk, special tokens included; never more than the embedding model's own limit, which is the
    default."""

    overlap: int = Field(default=0, ge=0)
    """The most tokens that a chunk repeats of the one before."""

    @model_validator(mode="after")
    def _overlap_fits(self) -> Self:
        if self.tokens is not None and self.overlap > self.tokens // 2:
            raise ValueError(f"overlap ({self.overlap}) must be at most half of tokens ({self.tokens})")
        return self


class EmbeddingConfig(Model):
    """What turns a chunk into a vector."""

    backend: Annotated[str, AfterValidator(_known_backend)] = "openvino"
    """`openvino` (compiled, CPU), `sentence-transformers` (any model, GPUs; an extra), `hash` (no model:
    for tests and plumbing), or the import path of your own, `module:attribute`: a function from a list of texts to an
    array of shape (texts, dimension), or an object with `embed_documents`. Give the object a `version` and change it
    whenever its vectors change: only then does the index notice."""

    model: str = DEFAULT_MODEL
    """A model id or a local folder."""

    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """`auto` takes bf16 where the processor computes in it. Part of the fingerprint."""


class HnswConfig(Model):
    """The graph of the approximate index."""

    m: int = Field(default=16, ge=4, le=128)
    """Edges of a node."""

    ef_construct: int = Field(default=100, ge=4, le=2000)
    """Candidates while building."""

    full_scan_threshold: int = Field(default=10_000, ge=10)
    """In kilobytes of vectors: below it the search scans, which is exact."""

    on_disk: bool | None = None
    """Whether the graph stays on disk; the store decides by default."""


class CollectionConfig(Model):
    """How the vector store keeps the points."""

    distance: Distance = Distance.COSINE
    """How two vectors are compared."""

    quantization: Literal["none", "int8"] = "none"
    """`int8` searches a compressed copy and ranks with the originals."""

    hnsw: HnswConfig = HnswConfig()
    """The graph of the approximate index."""

    on_disk: bool = False
    """Whether the vectors stay on disk instead of in memory."""

    payload_indexes: dict[Key, IndexedType] = Field(default={"document": "keyword", "source": "keyword"})
    """Payload field or metadata key to the type of its index, for fast filters: keyword, integer, float, bool,
    datetime, uuid, text or geo."""

    sparse: Literal["none", "bm25"] = "none"
    """`bm25` keeps a sparse vector of each chunk's words beside the dense one, for sparse and hybrid search. Part of the
    fingerprint."""

    tenant: Annotated[str, AfterValidator(_is_key_or_none)] = Field(default="", examples=["customer"])
    """The payload field or metadata key that divides the collection among tenants; the store keeps each tenant's points
    together."""

    shards: int | None = Field(default=None, ge=1, le=1024)
    """Shards of the collection, fixed when it is made; a Qdrant cluster only."""

    replicas: int | None = Field(default=None, ge=1, le=64)
    """Copies of each shard; a Qdrant cluster only."""

    write_consistency: int | None = Field(default=None, ge=1, le=64)
    """How many copies have to confirm a write; a Qdrant cluster only."""

    def spec(self, dimension: int) -> CollectionSpec:
        """Return what the store is asked for, given the dimension of the embedder."""
        tenant = payload_key(self.tenant) if self.tenant else ""
        indexes = {payload_key(key): kind for key, kind in self.payload_indexes.items()}
        return CollectionSpec(
            dimension=dimension,
            distance=self.distance,
            hnsw=HnswSpec(**self.hnsw.model_dump()),
            quantization=self.quantization,
            on_disk=self.on_disk,
            payload_indexes=indexes | ({tenant: "keyword"} if tenant else {}),
            sparse=self.sparse != "none",
            tenant=tenant,
            shards=self.shards,
            replicas=self.replicas,
            write_consistency=self.write_consistency,
        )

    @model_validator(mode="after")
    def _tenant_is_a_word(self) -> Self:
        if self.tenant and self.payload_indexes.get(self.tenant, "keyword") != "keyword":
            raise ValueError(
                f"the tenant {self.tenant!r} has an index of type keyword, not {self.payload_indexes[self.tenant]}"
            )
        return self


class LimitsConfig(Model):
    """Bounds on one document, so that no file can exhaust the machine."""

    max_bytes: int = Field(default=64 * 2**20, ge=1)
    """The largest file that is read."""

    max_pages: int = Field(default=5_000, ge=1)
    """The most pages, slides or sheets."""

    max_expansion: int = Field(default=200, ge=2)
    """The most bytes that one byte of an archive or office file may unpack to."""

    max_text: int = Field(default=32 * 2**20, ge=1)
    """The most characters of parsed text."""

    seconds: float = Field(default=60.0, gt=0)
    """The longest that a document may be parsed."""

    memory: int = Field(default=2 * 2**30, ge=256 * 2**20)
    """Bytes of address space of the process that parses untrusted formats."""


class DeletionGuard(Model):
    """Withholds deletions that look like an accident: when more than both would go, none goes.

    A source that has no document left is never believed, however small it is. `--approve-deletions N` lets up to N pass.
    """

    documents: int = Field(default=10, ge=0)
    """Up to this many are always deleted."""

    share: float = Field(default=0.5, ge=0, le=1)
    """Up to this share of the index's documents is always deleted."""


class IndexConfig(Model):
    """One index: sources kept in step with one Qdrant collection under one configuration."""

    description: str = ""
    """Shown in the UI."""

    owners: tuple[Owner, ...] = ()
    """E-mail addresses or `team:name`, shown in the UI."""

    sources: tuple[SourceConfig, ...] = Field(min_length=1)
    """Where the documents come from."""

    chunking: ChunkingConfig = ChunkingConfig()
    """How a document is cut."""

    embedding: EmbeddingConfig = EmbeddingConfig()
    """What turns a chunk into a vector."""

    collection: CollectionConfig = CollectionConfig()
    """How the vector store keeps the points."""

    limits: LimitsConfig = LimitsConfig()
    """Bounds on one document."""

    deletion_guard: DeletionGuard = DeletionGuard()
    """Withholds deletions that look like an accident."""

    schedule: Cron | None = Field(default=None, examples=["0 3 * * *"])
    """A cron expression (UTC) at which Dagster re-indexes while it runs; none by default. The UI can switch it off."""

    sample_query: str = "How do I get started?"
    """Asked after each run; the answers are shown in the UI."""

    warm_queries: tuple[str, ...] = Field(default=(), examples=[["How do I ask for leave?"]])
    """Questions whose answers are put into the cache after each run, so that nobody has to wait; the sample query by
    default."""

    @model_validator(mode="after")
    def _unique_sources(self) -> Self:
        names = [source.name for source in self.sources]
        doubles = sorted({name for name in names if names.count(name) > 1})
        if doubles:
            raise ValueError(
                f"two sources are named {doubles[0]!r}: a source's name is part of its documents' identity"
            )
        return self
