# ruff: noqa: ARG002 - the fakes keep to the signatures of the ports
"""The coordinator with hand-written levels, a clock that stands still and a chance that is known."""

import threading

import pytest

from pipelines_persistence.adapters.caching.local import MemoryLevel
from pipelines_persistence.caching import Policy, Raw, TieredCache
from pipelines_persistence.caching.counters import Counters
from pipelines_persistence.caching.records import Fetched, Lease, Shared
from pipelines_persistence.errors import CacheUnavailable, CircuitOpen


class Clock:
    def __init__(self):
        self.now = 1000.0

    def __call__(self):
        return self.now


class Level:
    """A shared level in memory, which can fail and can be looked into while it is asked."""

    name = "fake"

    def __init__(self):
        self.available = True
        self.failing = False
        self.values = {}
        self.dropped = []
        self.calls = 0
        self.during_fetch = lambda: None
        self.listener = None

    def _call(self):
        self.calls += 1
        if self.failing:
            raise CacheUnavailable("down")

    def open(self, listener):
        self.listener = listener

    def fetch(self, key, tags):
        self._call()
        found = Fetched(self.values.get(key), self.values[key].stamp if key in self.values else "")
        self.during_fetch()
        return found

    def lease(self, key, tags, token, seen):
        self._call()
        return Lease(granted=True, busy=False, token=token, stamps={})

    def release(self, key, token):
        self._call()

    def store(self, key, value, lease):
        self._call()
        self.values[key] = value
        return True

    def drop(self, key, version):
        self._call()
        self.dropped.append((key, version))
        self.values.pop(key, None)

    def drop_tags(self, tags):
        self._call()
        self.dropped += tags

    def close(self):
        self.available = False


class Rig:
    def __init__(self, shared=None, **policy):
        self.clock, self.level, self.chance = Clock(), shared, [0.0]
        given = Policy(**{"ttl": 100.0, "local_ttl": 50.0, "jitter": 0.0, "stale": 500.0} | policy)
        self.cache = TieredCache(
            MemoryLevel(2**20), shared, policy=given, clock=self.clock, chance=lambda: self.chance[0]
        )
        self.space = self.cache.namespace("n", Raw())
        self.loads = 0

    def load(self, value=b"1", seconds=0.0):
        def loader():
            self.loads += 1
            self.clock.now += seconds
            return value

        return self.space.get_or_load("k", loader)

    @property
    def stats(self):
        return self.cache.state().namespaces["n"]


def test_memory_alone_is_trusted_for_no_longer_than_its_limit():
    rig = Rig()
    rig.load()
    rig.clock.now += 49
    rig.load(b"2")
    assert rig.loads == 1
    rig.clock.now += 2
    assert (rig.load(b"2"), rig.loads) == (b"2", 2)


def test_after_that_the_shared_level_is_asked_and_not_the_origin():
    rig = Rig(Level())
    rig.load()
    rig.clock.now += 51
    # The fake keeps seconds as they were when it was written.
    assert (rig.load(b"2"), rig.loads, rig.stats.shared_hits) == (b"1", 1, 1)


def test_jitter_takes_off_its_share():
    rig = Rig(jitter=0.5, local_ttl=300.0)
    rig.chance[0] = 1.0
    rig.load()
    rig.chance[0] = 0.0
    rig.clock.now += 49
    rig.load()
    assert rig.loads == 1
    rig.clock.now += 2
    rig.load()
    assert rig.loads == 2


def test_what_was_dear_is_refreshed_before_it_ends_and_more_likely_the_later():
    rig = Rig(local_ttl=300.0)
    rig.load(seconds=2.0)  # fresh for 100 s from its load
    rig.clock.now += 95
    rig.chance[0] = 1 - 0.09  # -ln(0.09) * 2 s is 4.8 s
    rig.load(b"2")
    assert (rig.loads, rig.stats.refreshes) == (1, 0)
    rig.clock.now += 1
    assert (rig.load(b"2"), rig.loads, rig.stats.refreshes) == (b"2", 2, 1)


def test_while_one_refreshes_the_others_are_served_what_is_still_fresh():
    rig = Rig(local_ttl=300.0)
    rig.load(seconds=2.0)
    rig.clock.now += 99
    rig.chance[0] = 0.9
    served = []

    def loader():
        thread = threading.Thread(target=lambda: served.append(rig.load(b"another")))
        thread.start()
        thread.join(10)
        return b"2"

    assert rig.space.get_or_load("k", loader) == b"2"
    assert (served, rig.loads) == ([b"1"], 1)


def test_a_refresh_that_fails_serves_what_is_still_fresh():
    rig = Rig(local_ttl=300.0)
    rig.load(seconds=2.0)
    rig.clock.now += 99
    rig.chance[0] = 0.9

    def fail():
        raise OSError("down")

    assert rig.space.get_or_load("k", fail) == b"1"
    assert (rig.stats.errors, rig.stats.stale) == (1, 0)


def test_a_stale_value_is_served_until_the_origin_is_asked_again():
    rig, calls = Rig(hold=5.0), []
    rig.load()
    rig.clock.now += 200

    def fail():
        calls.append(1)
        raise OSError("down")

    for seconds in (0, 4.9, 0.2):
        rig.clock.now += seconds
        assert rig.space.get_or_load("k", fail) == b"1"
    assert (len(calls), rig.stats.stale) == (2, 3)
    rig.clock.now += 401
    with pytest.raises(OSError, match="down"):
        rig.space.get_or_load("k", fail)


def test_what_the_shared_level_holds_stale_is_served_when_the_origin_fails():
    rig = Rig(Level())
    rig.level.values["n.raw:k"] = Shared(b"old", None, -10.0, 60.0, 0.0, "s", (":n.raw",))

    def fail():
        raise OSError("down")

    assert rig.space.get_or_load("k", fail) == b"old"
    assert rig.stats.stale == 1


def test_a_value_that_changed_while_it_was_read_is_not_kept():
    rig = Rig(Level())
    rig.load()
    rig.level.listener.unknown()
    rig.level.during_fetch = lambda: rig.level.listener.changed(["n.raw:k"], [])
    assert rig.load() == b"1"  # what was there when it was asked for
    assert rig.cache.state().entries == 0


def test_a_tag_dropped_while_an_entry_was_read_keeps_it_out():
    rig = Rig(Level())
    rig.space.set("k", b"1", tags=["t"])
    rig.level.listener.unknown()
    rig.level.during_fetch = lambda: rig.level.listener.changed([], ["#t"])
    rig.load()
    assert rig.cache.state().entries == 0


def test_what_was_read_before_another_thread_loaded_does_not_replace_what_it_loaded():
    rig, pending = Rig(Level()), []
    rig.level.values["n.raw:k"] = Shared(b"6", 6, 100.0, 60.0, 0.0, "s", (":n.raw",))
    loader = threading.Thread(target=lambda: rig.space.get_or_load("k", lambda: b"7", version=7))

    def meanwhile():
        if pending:
            pending.pop().start()
            loader.join(10)

    rig.level.during_fetch = meanwhile
    pending.append(loader)
    assert rig.space.get("k") == b"6"  # what was there when it was asked for
    assert rig.space.get("k") == b"7"


def test_a_level_that_fails_is_not_seen_and_counted():
    rig = Rig(Level())
    rig.level.failing = True
    assert [rig.load(), rig.load()] == [b"1", b"1"]
    assert (rig.loads, rig.cache.state().failures) == (1, 1)


def test_a_level_that_is_down_is_not_asked():
    rig = Rig(Level())
    rig.level.available = False
    rig.load()
    rig.space.invalidate("k")
    assert (rig.level.calls, rig.cache.state().shared) == (0, "down")


def test_an_invalidation_that_failed_comes_before_the_next_read():
    rig = Rig(Level())
    rig.load(b"old")
    rig.level.available = False
    rig.space.invalidate("k")
    rig.cache.invalidate_tags("t")
    rig.level.available = True
    rig.level.failing = True
    assert rig.load(b"alone") == b"alone"
    rig.level.failing = False
    rig.level.listener.unknown()
    assert rig.load(b"new") == b"new"
    assert rig.level.dropped == ["#t", ("n.raw:k", None)]


def test_so_many_owed_invalidations_become_one_of_the_namespace():
    rig = Rig(Level())
    rig.load()
    rig.level.available = False
    for number in range(10_001):
        rig.space.invalidate(str(number))
    rig.level.available = True
    rig.space.get("another")
    assert ":n.raw" in rig.level.dropped


def test_an_open_breaker_is_passed_by():
    class Open:
        def call(self, work, *, repeatable):
            raise CircuitOpen("cache", 1.0)

    level, clock = Level(), Clock()
    cache = TieredCache(MemoryLevel(2**20), level, guard=Open(), clock=clock)
    assert cache.namespace("n", Raw()).get_or_load("k", lambda: b"1") == b"1"
    assert level.calls == 0


def test_two_loads_that_need_each_other_end():
    rig = Rig(patience=0.2)
    gate, values = threading.Barrier(2), []

    def need(mine, other):
        def loader():
            gate.wait(10)
            return rig.space.get_or_load(other, lambda: b"by myself")

        values.append(rig.space.get_or_load(mine, loader))

    threads = [threading.Thread(target=need, args=pair) for pair in (("a", "b"), ("b", "a"))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(10)
    assert b"by myself" in values
    assert len(values) == 2


def test_an_interrupted_load_lets_the_next_one_load():
    rig = Rig()
    waiting = threading.Event()

    def interrupted():
        waiting.set()
        while not rig.stats.coalesced:
            pass
        raise KeyboardInterrupt

    def lead():
        with pytest.raises(KeyboardInterrupt):
            rig.space.get_or_load("k", interrupted)

    leader = threading.Thread(target=lead)
    leader.start()
    waiting.wait(10)
    assert rig.load(b"mine") == b"mine"
    leader.join()


def test_counts_are_exact_under_threads():
    counters = Counters()
    threads = [
        threading.Thread(target=lambda: [counters.add("misses") for _ in range(20_000)]) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert counters.stats().misses == 160_000
