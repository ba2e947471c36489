"""The log and its read models as a Dagster resource."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import dagster as dg
from pydantic import Field, SecretStr

from pipelines_persistence.caching import Cache
from pipelines_persistence.eventing import Eventing
from pipelines_persistence.resilience import Guards
from pipelines_persistence.settings import Settings


class EventingResource(dg.ConfigurableResource[Eventing]):
    """Events as `pipelines.yaml` configures them, over the database in the home or the one that is named."""

    home: str = Field(description="Folder that holds the database, if no other is named.")
    config: str = Field(description="The pipelines.yaml; relative paths of the inbox start at its folder.")
    database_url: str = Field(
        default="",
        description="URL of another database. Give a `dg.EnvVar`, for the UI shows what is written here.",
    )
    resilience: dg.ResourceDependency[Guards]
    cache: dg.ResourceDependency[Cache]

    @contextmanager
    def yield_for_execution(self, context: dg.InitResourceContext) -> Iterator[Eventing]:
        """Hand out what deals with events, and close what it opened, whatever happens."""
        del context
        url = SecretStr(self.database_url) if self.database_url else None
        settings = Settings(home=Path(self.home), config=Path(self.config), database_url=url)
        with ExitStack() as exits:
            yield Eventing(settings, exits, self.resilience, lambda: self.cache)
