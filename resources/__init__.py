"""Dagster resources: configuration in, adapter out, lifecycle in between."""
