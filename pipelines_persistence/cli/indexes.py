"""`pipelines ingest`, `plan`, `search`, `status`, `doctor`: indexes of documents."""

import json
from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from pipelines_persistence.cli.common import Json, open_platform
from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.filters import Filter, Match, both, parse_filter, too_deep
from pipelines_persistence.records import SearchMode, field_path

if TYPE_CHECKING:
    from pipelines_persistence.configuration import IndexConfig
    from pipelines_persistence.ingestion.engine import IndexEngine
    from pipelines_persistence.ingestion.report import Report
    from pipelines_persistence.platform import Platform
    from pipelines_persistence.records import Scalar

Index = Annotated[str | None, typer.Argument(help="Name of the index; the only configured one by default.")]
Docs = Annotated[
    str | None, typer.Option(help="Index this folder, file, archive or URL, without configuration.")
]
EmbedderOption = Annotated[
    str | None, typer.Option("--embedder", help="Backend, or the import path of your own: module:attribute.")
]
ChunkTokens = Annotated[int | None, typer.Option(help="The most tokens of a chunk.")]
Approve = Annotated[
    int, typer.Option("--approve-deletions", min=0, help="Let up to this many deletions pass.")
]


def ingest(
    index: Index = None,
    docs: Docs = None,
    embedder: EmbedderOption = None,
    chunk_tokens: ChunkTokens = None,
    approve_deletions: Approve = 0,
    take_over: Annotated[
        bool,
        typer.Option("--take-over", help="Take the index's alias in a shared store from another home."),
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring an index in step with its sources. Run it again after an interruption: it goes on from there."""
    from pipelines_persistence import console
    from pipelines_persistence.interrupts import deferred_interrupts

    with open_platform(as_json) as platform, deferred_interrupts() as pending:
        engine = _engine(platform, index, docs, embedder, chunk_tokens)
        with console.progress(f"ingesting {engine.name}") as show:

            def notify(report: "Report") -> None:
                show(report)
                pending.check()

            report = engine.ingest(notify, approve_deletions=approve_deletions, take_over=take_over)
        console.print_json(report.as_json()) if as_json else console.show_report(report, planned=False)


def plan(
    index: Index = None,
    docs: Docs = None,
    embedder: EmbedderOption = None,
    chunk_tokens: ChunkTokens = None,
    approve_deletions: Approve = 0,
    as_json: Json = False,
) -> None:
    """Say what `ingest` would do. Embeds nothing and writes nothing."""
    from pipelines_persistence import console

    with open_platform(as_json) as platform:
        engine = _engine(platform, index, docs, embedder, chunk_tokens)
        with console.progress(f"planning {engine.name}") as show:
            report = engine.plan(show, approve_deletions=approve_deletions)
        console.print_json(report.as_json()) if as_json else console.show_report(report, planned=True)


def search(
    query: Annotated[str, typer.Argument(help="A question in plain words.")],
    index: Annotated[str | None, typer.Option(help="Name of the index; the only one by default.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="The most hits.")] = 5,
    where: Annotated[
        list[str] | None,
        typer.Option(
            help="key=value that a hit must have; may be repeated. Values are typed: 3, true, text, '\"true\"'."
        ),
    ] = None,
    filter_: Annotated[
        str | None,
        typer.Option(
            "--filter", help="A filter in Qdrant's JSON syntax; a hit must match it and every --where."
        ),
    ] = None,
    mode: Annotated[
        SearchMode | None,
        typer.Option(help="By meaning, by words, or by both; by default by all that the index has."),
    ] = None,
    as_json: Json = False,
) -> None:
    """Search an index."""
    from pipelines_persistence import console

    with open_platform(as_json) as platform:
        conditions = _where(where or (), filter_)
        if not query.strip():
            raise ConfigurationError("the question is empty: ask one in plain words")
        name = index or _only_index(platform)
        hits = platform.searcher.search(query, name, limit=limit, where=conditions, mode=mode)
        if as_json:
            console.print_json({"hits": [{"score": hit.score, **hit.payload} for hit in hits]})
        else:
            console.show_hits(hits)


def status(as_json: Json = False) -> None:
    """Show each index: documents, points, fingerprint, collection, last run."""
    from pipelines_persistence import console
    from pipelines_persistence.health import index_status

    with open_platform(as_json) as platform:
        indexes = index_status(platform)
        if as_json:
            console.print_json({"indexes": indexes})
        else:
            console.show_status(indexes)


def doctor(
    last: Annotated[
        int | None,
        typer.Option(
            "--history", min=1, max=100_000, help="Show the last N observations of each dependency instead."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Check each dependency: its version and its health. Exit code 1 if one is not well."""
    from pipelines_persistence import console
    from pipelines_persistence.health import diagnose, history

    with open_platform(as_json) as platform:
        if last is not None:
            seen = history(platform, last)
            columns = ["observed_at", "name", "status", "latency", "detail"]
            if as_json:
                console.print_json({"history": seen})
            else:
                console.show_table("observations", columns, [[one[key] for key in columns] for one in seen])
            return
        checks = diagnose(platform)
        healthy = all(check["status"] != "failed" for check in checks)
        if as_json:
            console.print_json({"healthy": healthy, "checks": checks})
        else:
            columns = ["name", "status", "version", "detail"]
            console.show_table(
                "dependencies", columns, [[check[column] for column in columns] for check in checks]
            )
        raise typer.Exit(0 if healthy else 1)


def _engine(
    platform: "Platform", index: str | None, docs: str | None, embedder: str | None, chunk_tokens: int | None
) -> "IndexEngine":
    from pipelines_persistence.platform import docs_index

    if docs == "":
        raise ConfigurationError("--docs is empty: name a folder, a file, an archive or a URL")
    if docs is not None:
        name, config = index or "docs", docs_index(docs)
    else:
        name = index or _only_configured(platform)
        config = platform.index_config(name)
    return platform.engine(name, _with_overrides(name, config, embedder, chunk_tokens))


def _with_overrides(
    name: str, config: "IndexConfig", embedder: str | None, chunk_tokens: int | None
) -> "IndexConfig":
    """Check what the command line says like the same values in the file."""
    from pydantic import ValidationError

    from pipelines_persistence.configuration import PipelinesConfig

    content = config.model_dump(mode="json")
    if embedder is not None:
        content["embedding"] = {"backend": embedder}
    if chunk_tokens is not None:
        content["chunking"]["tokens"] = chunk_tokens
    try:
        return PipelinesConfig.model_validate({"indexes": {name: content}}).indexes[name]
    except ValidationError as error:
        details = (f"{'.'.join(map(str, item['loc'][1:]))}: {item['msg']}" for item in error.errors())
        raise ConfigurationError("; ".join(details)) from None


def _only_configured(platform: "Platform") -> str:
    names = list(platform.settings.pipelines.indexes)
    if len(names) == 1:
        return names[0]
    if not names:
        raise ConfigurationError(
            "no index is configured: add one to pipelines.yaml, or name a folder: pipelines ingest --docs PATH"
        )
    raise ConfigurationError(f"several indexes are configured, name one: {', '.join(names)}")


def _only_index(platform: "Platform") -> str:
    names = [generation.index for generation in platform.ledger.live_generations()]
    if len(names) == 1 or "docs" in names or not names:
        return names[0] if len(names) == 1 else "docs"
    raise ConfigurationError(f"there are several indexes, choose one with --index: {', '.join(names)}")


def _where(items: Sequence[str], text: str | None) -> Filter:
    """Join what the options ask for."""
    equal = Filter(must=tuple(Match(*_condition(item)) for item in items))
    if text is None:
        return equal
    try:
        value = json.loads(text)
    except RecursionError as error:
        raise ConfigurationError(f"--filter: {too_deep()}") from error
    except ValueError as error:
        raise ConfigurationError(
            f'--filter is no JSON ({error}): write it like {{"must": [{{"key": "page", "range": {{"gte": 3}}}}]}}'
        ) from error
    try:
        return both(equal, parse_filter(value))
    except ConfigurationError as error:
        raise ConfigurationError(f"--filter: {error}") from error


def _condition(item: str) -> "tuple[str, Scalar]":
    key, found, value = item.partition("=")
    if not found or not key:
        raise ConfigurationError(f"--where {item}: expected key=value")
    _require_key(item, key)
    try:
        typed = json.loads(value)
    except (ValueError, RecursionError):
        _require_text(item, key, value)
        return key, value
    if typed is None:
        _require_text(item, key, value)
    if isinstance(typed, int) and not -(2**63) <= typed < 2**63:
        raise ConfigurationError(
            f"--where {item}: integers have 64 bits; put quotes around a text: {key}='\"{value}\"'"
        )
    return key, typed if isinstance(typed, str | int | float | bool) else value


def _require_key(item: str, key: str) -> None:
    try:
        field_path(key)
    except ConfigurationError as error:
        raise ConfigurationError(f"--where {item}: {error}") from error


def _require_text(item: str, key: str, value: str) -> None:
    """Refuse what looks like a truth or a null of another language: as a text it would find nothing, without a word."""
    word = value.strip().lower()
    if word in {"true", "false"}:
        meant = f"{key}={word} for the truth"
    elif word in {"none", "null"}:
        meant = f'--filter \'{{"must": [{{"is_null": {{"key": {json.dumps(key)}}}}}]}}\' for a null'
    else:
        return
    raise ConfigurationError(
        f"--where {item}: {value} may mean two things: write {meant}, or {key}='\"{value}\"' for the text"
    )
