"""What keeps caches in step with indexes and read models."""
