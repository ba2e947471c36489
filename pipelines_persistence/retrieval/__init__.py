"""Answers questions from an index. Knows neither Dagster nor a driver."""
