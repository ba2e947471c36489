"""What all parts of `pipelines.yaml` have in common."""

import re
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, StringConstraints

Name = Annotated[str, StringConstraints(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
"""Lower case, digits, '-' and '_': fit for a collection, a Dagster asset key and a folder."""


Owner = Annotated[str, StringConstraints(pattern=r"^(team:\w[\w-]*|[^@\s]+@[^@\s]+\.[^@\s]+)$")]
"""An e-mail address, or `team:` and a name."""


_CRON_FIELDS = {"minute": (0, 59), "hour": (0, 23), "day": (1, 31), "month": (1, 12), "weekday": (0, 7)}
_CRON_PART = re.compile(r"(\*|\d+(-\d+)?|[A-Za-z]{3}(-[A-Za-z]{3})?)(/\d+)?")


def _valid_cron(value: str) -> str:
    if re.fullmatch(r"@(hourly|daily|weekly|monthly|yearly|annually|midnight)", value):
        return value
    fields = value.split()
    if len(fields) != len(_CRON_FIELDS):
        raise ValueError(f"{value!r} is no cron expression: five fields are expected, such as '0 3 * * *'")
    for text, (name, (low, high)) in zip(fields, _CRON_FIELDS.items(), strict=True):
        parts = text.split(",")
        numbers = [int(number) for part in parts for number in re.findall(r"\d+", part.split("/")[0])]
        if not all(_CRON_PART.fullmatch(part) for part in parts) or any(
            not low <= n <= high for n in numbers
        ):
            raise ValueError(f"{value!r} is no cron expression: {text!r} is no {name} ({low} to {high})")
    return value


Cron = Annotated[str, AfterValidator(_valid_cron)]
"""A cron expression of five fields, or one such as `@daily`; in UTC."""

CUSTOM = re.compile(r"[A-Za-z_][\w.]*:[A-Za-z_][\w.]*")
"""The import path of one's own code: `module:attribute`."""


class Model(BaseModel):
    """Base of all parts: immutable, and an unknown key is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False, use_attribute_docstrings=True)
