"""Assets, checks, jobs and schedules of one index."""
