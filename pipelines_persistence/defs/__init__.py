"""Dagster definitions: assets, checks, jobs and schedules as thin glue over the engine."""
