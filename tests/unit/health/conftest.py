import pytest

from pipelines_persistence.configuration import DependencyConfig
from pipelines_persistence.resilience import Guard


@pytest.fixture
def clock_guard():
    """A guard that waits for nothing."""
    return Guard("vector_store", DependencyConfig(), sleep=lambda _seconds: None)
