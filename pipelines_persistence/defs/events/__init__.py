"""Assets, checks, sensors, jobs and schedules of the event log and what is projected from it."""
