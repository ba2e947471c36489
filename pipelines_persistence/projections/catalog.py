"""Which projections there are: the shipped ones, changed and completed by the configuration."""

from collections.abc import Mapping

import msgspec

from pipelines_persistence.configuration import EventsConfig, ProjectionConfig
from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.importing import import_attribute
from pipelines_persistence.projections.declaring import Projection
from pipelines_persistence.projections.shipped import SHIPPED
from pipelines_persistence.projections.working import OnError


class Configured(msgspec.Struct, frozen=True):
    """A projection and what to do with events that it cannot work in."""

    projection: Projection
    on_error: OnError


def configured_projections(config: EventsConfig) -> Mapping[str, Configured]:
    """Return the projections to run, by name.

    Raises:
        ConfigurationError: one cannot be imported or does not take its options, or its name is not the configured one.
    """
    wanted = {name: ProjectionConfig() for name in SHIPPED} | config.projections
    return {
        name: Configured(_projection(name, entry), OnError.SKIP if entry.skip_failing else OnError.STOP)
        for name, entry in wanted.items()
        if entry.enabled
    }


def _projection(name: str, entry: ProjectionConfig) -> Projection:
    place = f"events.projections.{name}"
    kind = (
        import_attribute(entry.projection, f"{place}.projection") if entry.projection else SHIPPED.get(name)
    )
    if kind is None:
        raise ConfigurationError(
            f"{place}: none of that name is shipped ({', '.join(SHIPPED)}); name your own class with 'projection'"
        )
    if not (isinstance(kind, type) and issubclass(kind, Projection)):
        raise ConfigurationError(f"{place}.projection {entry.projection!r} is no subclass of Projection")
    try:
        projection = kind(**entry.options)
    except TypeError as error:
        raise ConfigurationError(f"{place}.options: {error}") from error
    if projection.name != name:
        raise ConfigurationError(f"{place}: its class is named {projection.name!r}: use that name as the key")
    return projection
