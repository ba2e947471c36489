"""What the UI says about each asset, in Markdown: what it is, where it comes from, what to do with it."""

from pipelines_persistence.configuration import IndexConfig, SourceConfig

_PROMISE = (
    "Each run writes the difference only: unchanged documents cost nothing, and an interrupted run is completed "
    "by the next one."
)


def describe_source(source: SourceConfig) -> str:
    """Describe documents that lie outside."""
    lines = [f"Documents at `{source.uri}`, read by the plan and by the index; Dagster never writes them."]
    if source.metadata:
        pairs = ", ".join(f"`{key}: {value}`" for key, value in source.metadata.items())
        lines.append(f"Each chunk carries {pairs}.")
    return "\n\n".join(lines)


def describe_plan(index: str) -> str:
    """Describe the plan of an index."""
    return (
        f"What the next run would change in the index `{index}`, and what that would cost: documents and chunks "
        "added, changed, moved, deleted and unchanged, tokens to embed.\n\n"
        "Embeds nothing and writes nothing, so it may be materialized alone at any time. "
        "The index is not touched when the sources list no document."
    )


def describe_index(index: str, settings: IndexConfig) -> str:
    """Describe an index: what it holds, and how."""
    parts = (
        settings.description or f"The index `{index}`.",
        _configuration(settings),
        f"Ask it: `pipelines search 'your question' --index {index}`",
        _PROMISE,
    )
    return "\n\n".join(parts)


def _configuration(settings: IndexConfig) -> str:
    embedding, chunking, collection = settings.embedding, settings.chunking, settings.collection
    named = embedding.backend in {"openvino", "sentence-transformers"}
    size = f"at most {chunking.tokens} tokens" if chunking.tokens else "as long as the model reads"
    facts = {
        "Sources": ", ".join(f"`{source.uri}`" for source in settings.sources),
        "Chunks": f"{size}, {chunking.overlap} tokens repeated",
        "Embedding": f"`{embedding.model}` by {embedding.backend}" if named else f"`{embedding.backend}`",
        "Qdrant": f"{collection.distance} distance, quantization {collection.quantization}",
        "Schedule": f"`{settings.schedule}` (UTC)" if settings.schedule else "none",
    }
    return "\n".join(f"- **{name}**: {value}" for name, value in facts.items())
