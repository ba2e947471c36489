"""What else goes wrong with the shared cache: no caller sees an error, and nothing older comes back.

Down, killed, restarted, stopped and full is in `test_cache_processes.py`.
"""

import logging
import threading
import time

import pytest

from pipelines_persistence.adapters.caching import open_cache
from pipelines_persistence.caching import Raw
from pipelines_persistence.configuration import CacheConfig
from tests.redis_server import faulty_redis
from tests.tcp_proxy import tcp_proxy


def eventually(condition, seconds=10):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.01)
    return True


@pytest.fixture
def server(tmp_path):
    with faulty_redis(tmp_path) as server:
        yield server


@pytest.fixture
def proxy(server):
    with tcp_proxy("127.0.0.1", server.port) as proxy:
        yield proxy


class Desk:
    """Caches of two processes: ours, behind the proxy, and theirs, which nothing troubles."""

    def __init__(self, server, proxy, folder, **options):
        config = CacheConfig(jitter=0, **{"timeout": 0.3, "lease": 0.5} | options)
        urls = [server.url.replace(str(server.port), str(proxy.port)), server.url]
        self.caches = self.mine, self.theirs = [open_cache(config, folder, url) for url in urls]
        self.my, self.their = [cache.namespace("n", Raw()) for cache in self.caches]

    def share(self, key, value, **options):
        """Let both have a value in memory."""
        self.my.set(key, value, **options)
        assert (self.my.get(key), self.their.get(key)) == (value, value)

    def is_up(self):
        return all(cache.state().shared == "up" for cache in self.caches)

    def recovered(self):
        """Both share again what either of them writes."""
        assert eventually(self.is_up)
        assert eventually(lambda: self.my.set("after", b"1") and self.their.get("after") == b"1")
        self.their.invalidate("after")
        assert eventually(lambda: self.my.get("after") is None)


@pytest.fixture
def desk(server, proxy, tmp_path):
    desk = Desk(server, proxy, tmp_path)
    yield desk
    for cache in desk.caches:
        cache.close()


def loaded(space, key, value=b"loaded"):
    """Look up what is nowhere: it has to be loaded, whatever is wrong."""
    assert space.get_or_load(key, lambda: value) == value


def test_slow_but_within_the_deadline_is_waited_for(desk, server):
    desk.share("k", b"1")
    server.admin.client_pause(100)
    loaded(desk.my, "new")
    assert desk.mine.state().failures == 0
    desk.recovered()


def test_flapping_costs_no_caller_an_error_and_brings_nothing_old_back(desk, proxy):
    stop, late = threading.Event(), []

    def flap():
        while not stop.wait(0.03):
            proxy.drop()

    flapper = threading.Thread(target=flap)
    flapper.start()
    for number in range(1, 150):
        desk.my.set("k", str(number).encode(), version=number)
        found = int(desk.my.get_or_load("k", lambda number=number: str(number).encode(), version=number))
        late += [number] if found < number else []
        time.sleep(0.002)
    stop.set()
    flapper.join()
    assert late == []
    desk.recovered()
    assert eventually(lambda: desk.their.get_or_load("k", lambda: b"149", version=149) == b"149")


def test_too_many_clients_is_as_if_it_were_down(desk, server, proxy, caplog):
    desk.share("k", b"1")
    server.admin.config_set("maxclients", 1)
    proxy.drop()
    loaded(desk.my, "new")
    assert eventually(lambda: desk.mine.state().shared == "down")
    loaded(desk.my, "newer")
    assert "each process caches for itself" in caplog.text
    server.admin.config_set("maxclients", 100)
    desk.recovered()


def test_a_write_whose_answer_is_lost_stands_or_not_and_nothing_older_is_read(desk, proxy):
    desk.share("k", b"old", version=1)
    proxy.lose_answer_to(b"EXEC")
    desk.my.set("k", b"new", version=2)
    assert desk.my.get_or_load("k", lambda: b"new", version=2) == b"new"
    desk.recovered()
    assert desk.their.get_or_load("k", lambda: b"new", version=2) == b"new"
    assert desk.my.set("k", b"older", version=1) is False


def test_an_invalidation_whose_answer_is_lost_is_made_again(desk, proxy):
    desk.share("k", b"old")
    proxy.lose_answer_to(b"DEL")
    desk.my.invalidate("k")
    assert desk.my.get("k") is None
    desk.recovered()
    assert eventually(lambda: desk.their.get("k") is None)


def test_who_was_cut_off_silently_forgets_what_was_changed_meanwhile(desk, proxy):
    desk.share("k", b"old")
    proxy.hang()
    desk.their.set("k", b"new", version=2)
    loaded(desk.my, "new")  # after one time-out
    assert eventually(lambda: desk.mine.state().shared == "down")
    loaded(desk.my, "newer")
    proxy.resume()
    desk.recovered()
    assert desk.my.get("k") == b"new"


def test_a_server_that_may_not_write_for_its_disk_is_full_hides_no_invalidation_for_good(desk, server):
    for key in ("key", "tag"):
        desk.share(key, b"old", tags=[key])
    server.refuse_writes()
    desk.my.invalidate("key")
    desk.mine.invalidate_tags("tag")
    assert [desk.my.get("key"), desk.my.get("tag")] == [None, None]
    loaded(desk.my, "new")
    loaded(desk.their, "other")
    server.admin.config_set("stop-writes-on-bgsave-error", "no")  # somebody makes room
    desk.recovered()
    desk.my.get("key")  # what could not be delivered comes before anything is read
    assert [desk.my.get("key"), desk.my.get("tag")] == [None, None]
    assert eventually(lambda: [desk.their.get("key"), desk.their.get("tag")] == [None, None])


def test_a_password_that_is_changed_under_way_is_told_without_it(desk, server, caplog):
    caplog.set_level(logging.INFO, "pipelines.cache")
    desk.share("k", b"1")
    server.lock("an0ther")
    loaded(desk.my, "new")
    assert eventually(lambda: desk.mine.state().shared == "down")
    loaded(desk.my, "newer")
    assert "each process caches for itself" in caplog.text
    assert "s3cret" not in caplog.text
    server.admin.config_set("requirepass", "s3cret")
    desk.recovered()
