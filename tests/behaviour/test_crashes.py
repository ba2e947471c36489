"""kill -9, and a signal that asks nicely, at any moment of an ingestion."""

import random
import signal
import time

import pytest

WORDS = [f"word{n}" for n in range(300)]


def fill(desk, documents=60, seed=0):
    rng = random.Random(seed)
    for n in range(documents):
        body = "\n\n".join(" ".join(rng.choices(WORDS, k=40)) for _ in range(12))
        desk.write(f"{n:03}.md", f"# Document {n}\n\n{body}")


def started(desk, delay):
    return desk.start(
        "ingest", "--docs", str(desk.docs), "--embedder", "counting:Counting", "--chunk-tokens", "64",
        COUNTING_DELAY=str(delay),
    )  # fmt: skip


@pytest.mark.parametrize("seed", range(4))
def test_after_kill_9_and_an_edit_the_next_run_makes_the_index_exactly_right(desk, seed):
    rng = random.Random(seed)
    fill(desk, seed=seed)
    codes = []
    for _ in range(3):
        with started(desk, 0.4) as process:
            time.sleep(0.7 + rng.random() * 1.5)
            process.kill()
        codes.append(process.returncode)
        changed = rng.sample(sorted(desk.docs.iterdir()), 5)
        for path in changed[:4]:
            path.write_text(path.read_text() + f"\n\nEdited {rng.random()}.")
        changed[4].unlink()
    assert -signal.SIGKILL in codes  # else nothing was shown
    report = desk.ingest("--chunk-tokens", "64")
    texts = desk.audit()
    assert set(texts) == {path.name for path in desk.docs.iterdir()}
    assert report["points"] == sum(map(len, texts.values()))
    assert desk.ingest("--chunk-tokens", "64")["documents"]["unchanged"] == len(texts)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_the_run_between_two_batches_and_the_next_one_goes_on(desk, number):
    fill(desk, documents=150)
    with started(desk, 0.5) as process:
        time.sleep(2)
        process.send_signal(number)
        _, errors = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "RunCancelled" in errors
    assert "Traceback" not in errors
    done = set(desk.embedded())
    assert done
    assert desk.run("status")["indexes"] == []  # nothing is promoted half-built
    desk.ingest("--chunk-tokens", "64")
    assert not done & set(desk.embedded())
    assert len(desk.audit()) == 150
