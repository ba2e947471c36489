"""Embedding ingestion and event projections you can trust, as a Dagster data platform."""
