"""The dependencies of the platform, as Dagster sees them."""
