"""The state of the indexes, and the health of what they depend on."""

from pipelines_persistence.health.diagnosis import diagnose, history, observe_all
from pipelines_persistence.health.indexes import index_status

__all__ = ["diagnose", "history", "index_status", "observe_all"]
