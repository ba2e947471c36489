"""The engine: source, parse, chunk, embed, plan, apply. Knows neither Dagster nor a driver."""
