"""The guards of the dependencies as a Dagster resource."""

from pathlib import Path

import dagster as dg
from pydantic import Field

from pipelines_persistence.resilience import Guards
from pipelines_persistence.settings import Settings


class ResilienceResource(dg.ConfigurableResource[Guards]):
    """Retries and circuit breakers, as `pipelines.yaml` configures them."""

    config: str = Field(description="The pipelines.yaml, whose key `resilience` is read.")

    def create_resource(self, context: dg.InitResourceContext) -> Guards:
        """Hand out guards that have seen nothing yet."""
        del context
        return Guards(Settings(config=Path(self.config)).configuration.resilience)
