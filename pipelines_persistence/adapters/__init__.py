"""What talks to the world: the only place where drivers are imported."""
