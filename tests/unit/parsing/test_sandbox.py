"""The child process: bounded in time and memory, replaced when it dies, gone when it is not needed."""

import os
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest

from pipelines_persistence.configuration import LimitsConfig
from pipelines_persistence.errors import DocumentError, Reason
from pipelines_persistence.ingestion.parsing import Parser

PAGE = b"<html><body><p>Hello</p></body></html>"
SLOW = b"a,b\n" + b"1,2\n" * 6_000_000
SMALLEST = 256 << 20


def parser_with(**limits: float) -> Parser:
    return Parser(LimitsConfig.model_validate(limits))


def refused(parser: Parser, data: bytes, path: str) -> DocumentError:
    with pytest.raises(DocumentError) as caught:
        parser.parse(data, path)
    return caught.value


def child(parser: Parser) -> int:
    return parser._sandbox._child._process.pid


def is_running(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{pid}/stat", encoding="ascii") as status:  # noqa: PTH123 - a path of the kernel
        return status.read().rpartition(")")[2].split()[0] != "Z"


def test_simple_formats_start_no_child_and_others_share_one():
    parser = parser_with()
    parser.parse(b"# Hello", "a.md")
    assert parser._sandbox._child is None
    parser.parse(PAGE, "a.html")
    first = child(parser)
    parser.parse(PAGE, "b.html")
    assert child(parser) == first
    parser.close()
    parser.close()
    assert not is_running(first)


def test_a_document_that_takes_too_long_is_given_up_and_the_next_one_is_parsed():
    parser = parser_with(seconds=0.5)
    begun = time.monotonic()
    assert refused(parser, SLOW, "a.csv").reason is Reason.TIMEOUT
    assert time.monotonic() - begun < 5
    parser._sandbox.close()
    later = parser_with()
    assert later.parse(PAGE, "a.html").text == "Hello"
    later.close()


def test_a_document_that_takes_too_much_memory_is_given_up_and_the_next_one_is_parsed():
    parser = parser_with(memory=SMALLEST)
    assert refused(parser, b"[" + b"{}," * 8_000_000 + b"{}]", "a.json").reason is Reason.OUT_OF_MEMORY
    assert parser.parse(PAGE, "a.html").text == "Hello"
    parser.close()


def test_native_code_that_runs_out_of_memory_is_not_a_crash_of_the_document():
    parser = parser_with(memory=SMALLEST)
    reason = refused(parser, b"<html><body>" + b"<p>a<b>b</b>" * 1_500_000, "a.html").reason
    assert reason in {Reason.OUT_OF_MEMORY, Reason.TOO_LARGE}
    parser.close()


def test_nesting_without_bound_is_a_named_outcome():
    parser = parser_with(seconds=4)
    for data, path in (
        (b"[" * 200_000 + b"]" * 200_000, "a.json"),
        (b"<html>" + b"<div>" * 200_000 + b"x", "a.html"),
    ):
        try:
            parser.parse(data, path)
        except DocumentError as error:
            assert error.reason in {Reason.MALFORMED, Reason.NO_TEXT, Reason.OUT_OF_MEMORY, Reason.TIMEOUT}  # noqa: PT017 - any of these is right
    assert parser.parse(PAGE, "a.html").text == "Hello"
    parser.close()


def test_a_crash_is_the_outcome_of_its_document_and_the_next_one_gets_a_fresh_child():
    parser = parser_with()
    with ThreadPoolExecutor(1) as threads:
        running = threads.submit(refused, parser, SLOW, "a.csv")
        while parser._sandbox._child is None:
            time.sleep(0.01)
        os.kill(child(parser), signal.SIGSEGV)
        error = running.result(60)
    assert error.reason is Reason.MALFORMED
    assert "SIGSEGV" in error.detail
    assert parser.parse(PAGE, "a.html").text == "Hello"
    parser.close()


def test_a_child_that_died_between_two_documents_costs_neither():
    parser = parser_with()
    parser.parse(PAGE, "a.html")
    os.kill(child(parser), signal.SIGKILL)
    assert parser.parse(PAGE, "b.html").text == "Hello"
    parser.close()


def test_threads_share_a_parser_without_mixing_their_documents():
    parser = parser_with()
    pages = [b"<html><body><p>page %d</p></body></html>" % number for number in range(40)]
    with ThreadPoolExecutor(8) as threads:
        texts = list(threads.map(lambda page: parser.parse(page, "a.html").text, pages))
    assert texts == [f"page {number}" for number in range(40)]
    assert threading.active_count() >= 1
    parser.close()


def test_the_child_ends_with_its_parent():
    script = (
        "from pipelines_persistence.configuration import LimitsConfig\n"
        "from pipelines_persistence.ingestion.parsing import Parser\n"
        "import os\n"
        f"parser = Parser(LimitsConfig()); parser.parse({PAGE!r}, 'a.html')\n"
        "print(parser._sandbox._child._process.pid, flush=True); os.kill(os.getpid(), 9)\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=False, capture_output=True, text=True)
    assert done.returncode == -signal.SIGKILL
    deadline = time.monotonic() + 10
    while is_running(int(done.stdout)) and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not is_running(int(done.stdout))


def test_the_child_sees_no_secret_and_loads_nothing_heavy():
    script = (
        "import sys\n"
        "import pipelines_persistence.ingestion.parsing.worker\n"
        "heavy = {'dagster', 'numpy', 'pandas', 'openvino', 'pydantic', 'qdrant_client', 'sqlalchemy'}\n"
        "print(sorted(heavy & sys.modules.keys()))\n"
    )
    done = subprocess.run([sys.executable, "-c", script], check=True, capture_output=True, text=True)
    assert done.stdout.strip() == "[]"
    parser = parser_with()
    os.environ["PARSER_TEST_SECRET"] = "hush"
    try:
        parser.parse(PAGE, "a.html")
        with open(f"/proc/{child(parser)}/environ", "rb") as environment:  # noqa: PTH123 - a path of the kernel
            assert b"hush" not in environment.read()
    finally:
        del os.environ["PARSER_TEST_SECRET"]
        parser.close()
