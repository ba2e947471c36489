"""What looks at the dependencies, as a Dagster resource."""

import dagster as dg

from pipelines_persistence.health import observe_all
from pipelines_persistence.observations import Observation
from pipelines_persistence.platform import Platform


class Observer:
    """Looks at what a platform depends on, and keeps what it finds."""

    def __init__(self, platform: Platform) -> None:
        """Take the platform, which its owner closes."""
        self._platform = platform

    def observe(self) -> list[Observation]:
        """Look at each dependency, once; never raises."""
        return observe_all(self._platform)


class HealthResource(dg.ConfigurableResource[Observer]):
    """The dependencies of the platform that the indexing resource assembles."""

    platform: dg.ResourceDependency[Platform]

    def create_resource(self, context: dg.InitResourceContext) -> Observer:
        """Hand out what looks; nothing is opened yet."""
        del context
        return Observer(self.platform)
