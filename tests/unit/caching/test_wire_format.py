"""Commands and answers of Redis as bytes, in whatever pieces they arrive; and the threads that share connections."""

import socket
import threading

import pytest
import redis

from pipelines_persistence.adapters.caching.resp import Answers, packed
from pipelines_persistence.adapters.caching.wire import Wires
from pipelines_persistence.errors import CacheUnavailable

ANSWER = b"*5\r\n$4\r\na\r\nb\r\n:-7\r\n$-1\r\n*2\r\n$0\r\n\r\n*-1\r\n+OK\r\n"
MEANING = [b"a\r\nb", -7, None, [b"", None], b"OK"]


class Pieces:
    """A connection whose bytes arrive in pieces of one size."""

    def __init__(self, data, size):
        self.data, self.size = data, size

    def recv(self, most):
        piece, self.data = self.data[: min(most, self.size)], self.data[min(most, self.size) :]
        return piece


@pytest.mark.parametrize("size", range(1, len(ANSWER) + 1))
def test_an_answer_is_read_in_whatever_pieces_it_arrives(size):
    answers = Answers(Pieces(ANSWER * 2, size))
    assert [answers.read(), answers.read()] == [MEANING] * 2
    with pytest.raises(ConnectionResetError):
        answers.read()


def test_what_is_large_is_read_whole():
    data = bytes(range(256)) * 10_000
    answers = Answers(Pieces(b"$%d\r\n%b\r\n:1\r\n" % (len(data), data), 1000))
    assert (answers.read() == data, answers.read()) == (True, 1)


def test_errors_are_returned_by_what_they_say_of_the_connection():
    data = b"-OOM command not allowed\r\n-LOADING Redis is loading\r\n*1\r\n-ERR no\r\n"
    answers = Answers(Pieces(data, 100))
    refused, unready, [inner] = answers.read(), answers.read(), answers.read()
    assert (type(refused), type(unready), type(inner)) == (
        redis.ResponseError,
        redis.ConnectionError,
        redis.ResponseError,
    )
    assert str(refused) == "OOM command not allowed"


def test_who_does_not_speak_the_protocol_is_found_out():
    with pytest.raises(ConnectionAbortedError, match="Protocol error"):
        Answers(Pieces(b"HTTP/1.1 400 Bad Request\r\n", 100)).read()


def test_waiting_for_an_answer_ends_and_takes_nothing_away():
    mine, theirs = socket.socketpair()
    with mine, theirs:
        mine.settimeout(5)
        answers = Answers(mine)
        assert not answers.is_there(0.01)
        theirs.sendall(b":1\r\n:2\r\n")
        assert (answers.is_there(5), answers.read(), answers.is_there(0), answers.read()) == (
            True,
            1,
            True,
            2,
        )
        assert mine.gettimeout() == 5


def test_commands_are_packed_by_bytes_not_by_characters():
    assert packed([("SET", "ü", b"\r\n"), ("GET", 1)]) == (
        b"*3\r\n$3\r\nSET\r\n$2\r\n\xc3\xbc\r\n$2\r\n\r\n\r\n*2\r\n$3\r\nGET\r\n$1\r\n1\r\n"
    )


class Connection:
    """Answers with its number, or fails."""

    def __init__(self, number):
        self.number, self.error, self.is_open = number, None, True
        self.entered, self.leave = threading.Event(), threading.Event()
        self.leave.set()

    def exchange(self, data, count):  # noqa: ARG002 - the signature of a wire
        self.entered.set()
        self.leave.wait(10)
        if self.error is not None:
            self.is_open = False
            raise self.error
        return [self.number]

    def close(self):
        self.is_open = False


@pytest.fixture
def made():
    return []


@pytest.fixture
def wires(made):
    def make():
        made.append(Connection(len(made)))
        return made[-1]

    return Wires(make, most=1, patience=0.01)


def test_a_connection_is_used_again(wires, made):
    assert [wires.exchange(b"", 1) for _ in range(3)] == [[0]] * 3
    assert len(made) == 1


def test_one_that_the_server_has_closed_is_replaced_unnoticed(wires, made):
    wires.exchange(b"", 1)
    made[0].error = ConnectionResetError("closed")
    assert [wires.exchange(b"", 1), wires.exchange(b"", 1)] == [[1], [1]]


def test_nobody_waits_twice_for_one_that_is_silent(wires, made):
    wires.exchange(b"", 1)
    made[0].error = TimeoutError("silent")
    with pytest.raises(TimeoutError):
        wires.exchange(b"", 1)
    assert len(made) == 1


def test_a_new_one_that_fails_is_not_replaced(wires, made):
    wires.exchange(b"", 1)
    wires.clear()
    wires._make = lambda: (made.append(Connection(9)), setattr(made[-1], "error", OSError("down")), made[-1])[
        2
    ]
    with pytest.raises(OSError, match="down"):
        wires.exchange(b"", 1)
    assert len(made) == 2


def test_after_a_clearing_none_of_before_is_used_also_not_one_that_was_in_use(wires, made):
    wires.exchange(b"", 1)
    made[0].entered.clear()
    made[0].leave.clear()
    thread = threading.Thread(target=wires.exchange, args=(b"", 1))
    thread.start()
    made[0].entered.wait(10)
    wires.clear()
    with pytest.raises(CacheUnavailable, match="in use"):
        wires.exchange(b"", 1)
    made[0].leave.set()
    thread.join(10)
    assert wires.exchange(b"", 1) == [1]
