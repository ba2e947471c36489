"""The projections that come with the platform."""
