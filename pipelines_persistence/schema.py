"""Writes the JSON schema of `pipelines.yaml`, for editors: `python -m pipelines_persistence.schema FILE`."""

import json
import sys
from pathlib import Path

from pipelines_persistence.configuration import PipelinesConfig


def json_schema() -> str:
    """Return the schema as text."""
    return json.dumps(PipelinesConfig.model_json_schema(), indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(json_schema(), encoding="utf-8")
