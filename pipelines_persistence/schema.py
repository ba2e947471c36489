"""Writes what the documentation says of `pipelines.yaml` from its model: `python -m pipelines_persistence.schema docs`."""

import inspect
import json
import sys
import types
import typing
from enum import StrEnum
from pathlib import Path

from pydantic import BaseModel
from pydantic.fields import FieldInfo
from pydantic_core import PydanticUndefined

from pipelines_persistence.configuration import PipelinesConfig

_INTRODUCTION = """\
# `pipelines.yaml`

Generated from the model by `make schema`; a test keeps it in step. Editors complete and check the file with
[pipelines.schema.json](pipelines.schema.json). An unknown key is an error, and so is a key that is given twice.

`PIPELINES_CONFIG` names the file (by default `pipelines.yaml` in the working directory); relative source paths start at
its folder. `PIPELINES_HOME` names the folder that holds all state (by default `dagster_home/data`). `PIPELINES_DATABASE_URL`
names another database for events and read models (`postgresql://user:password@host/name`; by default SQLite in the home).
`PIPELINES_MASTER_KEY` wraps the keys of persons where events hold personal data: 32 bytes in Base64, several separated by
commas to rotate.
"""


def json_schema() -> str:
    """Return the JSON schema, for editors."""
    return json.dumps(PipelinesConfig.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


def reference() -> str:
    """Return the reference in Markdown: a table for each part."""
    return _INTRODUCTION + "".join(_section(path, model) for path, model in _parts("", PipelinesConfig))


def _parts(path: str, model: type[BaseModel]) -> typing.Iterator[tuple[str, type[BaseModel]]]:
    """Walk over the model, depth first: where a part stands in the file, and what it is."""
    yield path, model
    for name, field in model.model_fields.items():
        inner, suffix = _inner(field.annotation)
        if isinstance(inner, type) and issubclass(inner, BaseModel):
            yield from _parts(f"{path}.{name}{suffix}".lstrip("."), inner)


def _inner(annotation: object) -> tuple[object, str]:
    arguments = typing.get_args(annotation)
    match typing.get_origin(annotation):
        case origin if origin is dict:
            return arguments[1], ".NAME"
        case origin if origin is tuple:
            return arguments[0], "[]"
        case types.UnionType:  # a part that may be left out
            return arguments[0], ""
    return annotation, ""


def _section(path: str, model: type[BaseModel]) -> str:
    rows = "".join(_row(name, field) for name, field in model.model_fields.items())
    title = f"`{path}`" if path else "Top level"
    return f"\n## {title}\n\n{inspect.cleandoc(model.__doc__ or '')}\n\n| key | default | meaning |\n|---|---|---|\n{rows}"


def _row(name: str, field: FieldInfo) -> str:
    meaning = " ".join((field.description or "").split()).replace("|", "\\|")
    if choices := _choices(field.annotation):
        meaning += f" One of {', '.join(f'`{choice}`' for choice in choices)}."
    if field.examples:
        meaning += f" Examples: {', '.join(f'`{example}`' for example in field.examples)}."
    return f"| `{name}` | {_default(field)} | {meaning} |\n"


def _choices(annotation: object) -> list[str]:
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return list(annotation)
    return (
        [str(value) for value in typing.get_args(annotation)]
        if typing.get_origin(annotation) is typing.Literal
        else []
    )


def _default(field: FieldInfo) -> str:
    default = field.get_default(call_default_factory=True)
    if default is PydanticUndefined:
        return "**needed**"
    if isinstance(default, BaseModel):
        return "see below"
    return "none" if default in (None, "", (), {}) else f"`{json.dumps(default)}`"


if __name__ == "__main__":
    folder = Path(sys.argv[1])
    (folder / "pipelines.schema.json").write_text(json_schema(), encoding="utf-8")
    (folder / "configuration.md").write_text(reference(), encoding="utf-8")
