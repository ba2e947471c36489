"""The guards of a process: one for each dependency, made when it is first asked for."""

import random
import time
from collections.abc import Callable, Sequence
from threading import Lock
from typing import Literal

from pipelines_persistence.configuration import DependencyConfig, ResilienceConfig
from pipelines_persistence.resilience.breaker import Clock
from pipelines_persistence.resilience.guard import Guard, GuardState, Sleep
from pipelines_persistence.resilience.signals import Listener, log_signal

Dependency = Literal["vector_store", "database", "cache", "streams", "sources", "embedder"]


class Guards:
    """Hands out guards. Safe for threads."""

    def __init__(
        self,
        config: ResilienceConfig,
        *,
        clock: Clock = time.monotonic,
        sleep: Sleep = time.sleep,
        jitter: Callable[[], float] = random.random,
        listeners: Sequence[Listener] = (log_signal,),
    ) -> None:
        """Take the configuration of each dependency; see `Guard` for the rest."""
        self._config = config
        self._clock = clock
        self._sleep = sleep
        self._jitter = jitter
        self._listeners = tuple(listeners)
        self._lock = Lock()
        self._guards: dict[str, Guard] = {}

    def guard(self, dependency: Dependency, instance: str = "") -> Guard:
        """Return the guard of a dependency, always the same one.

        Args:
            dependency: its key in the configuration.
            instance: tells several of a kind apart, such as the name of a source: one that fails does not stop another.
        """
        name = f"{dependency}:{instance}" if instance else dependency
        with self._lock:
            if name not in self._guards:
                self._guards[name] = self._made(name, getattr(self._config, dependency))
            return self._guards[name]

    def __getitem__(self, dependency: Dependency) -> Guard:
        """Return the guard of a dependency of which there is only one."""
        return self.guard(dependency)

    def states(self) -> list[GuardState]:
        """Return the state of each guard that was asked for, by name."""
        with self._lock:
            guards = sorted(self._guards.values(), key=lambda guard: guard.name)
        return [guard.state() for guard in guards]

    def _made(self, name: str, config: DependencyConfig) -> Guard:
        return Guard(
            name,
            config,
            clock=self._clock,
            sleep=self._sleep,
            jitter=self._jitter,
            listeners=self._listeners,
        )
