"""What the parts of an index are called in Dagster, and which icons they wear."""

from pipelines_persistence.configuration import IndexConfig, SourceConfig

_KINDS_OF_SCHEMES = {"s3": "s3", "gs": "gcs", "gcs": "gcs", "python-packages": "python"}


def group_of(index: str) -> str:
    """Return the asset group of an index; Dagster allows no '-' there."""
    return index.replace("-", "_")


def job_of(index: str) -> str:
    """Return the name of the job that brings an index in step."""
    return f"ingest_{group_of(index)}"


def schedule_of(index: str) -> str:
    """Return the name of the schedule of that job."""
    return f"reindex_{group_of(index)}"


def pool_of(index: str) -> str:
    """Return the pool that keeps two runs from one index; `dagster.yaml` sets its limit."""
    return f"index_{group_of(index)}"


def source_kind(source: SourceConfig) -> str:
    """Return the kind of a source by its URI."""
    scheme, found, _ = source.uri.partition("://")
    return _KINDS_OF_SCHEMES.get(scheme, "file") if found else "file"


def vectors_kind(settings: IndexConfig) -> str:
    """Return the kind of what embeds: a name that Dagster has an icon for, where there is one."""
    backend = settings.embedding.backend
    return "python" if ":" in backend else backend.replace("sentence-transformers", "huggingface")
