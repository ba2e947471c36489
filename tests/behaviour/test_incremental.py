"""What changes, and nothing else, is parsed, embedded and written."""

import os
import random
import shutil

import pytest


def paragraphs(seed, count):
    rng = random.Random(seed)
    return [" ".join(rng.choices(WORDS, k=rng.randint(20, 60))) + "." for _ in range(count)]


WORDS = [f"word{n}" for n in range(400)]


def article(seed, count=12):
    return f"# Article {seed}\n\n" + "\n\n".join(paragraphs(seed, count))


@pytest.fixture
def library(desk):
    for n in range(6):
        desk.write(f"part{n % 2}/{n}.md", article(n))
    first = desk.ingest("--chunk-tokens", "128")
    assert first["documents"]["added"] == 6
    assert first["embedded"] == first["chunks"] == first["points"] == len(desk.embedded())
    desk.audit()
    return desk


def again(desk, *arguments, **options):
    return desk.ingest("--chunk-tokens", "128", *arguments, **options)


def test_a_second_run_embeds_and_writes_nothing(library):
    report = again(library)
    assert report["documents"]["unchanged"] == 6
    assert (report["chunks"], report["embedded"], report["tokens"]) == (0, 0, 0)
    assert library.embedded() == []


def test_a_touched_file_is_unchanged(library):
    (library.docs / "part0/0.md").touch()
    assert again(library)["documents"]["unchanged"] == 6


def test_a_change_that_keeps_size_and_times_is_noticed(library):
    path = library.docs / "part0/0.md"
    stat = path.stat()
    path.write_text(path.read_text().replace("word1", "word2"))
    os.utime(path, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    assert path.stat().st_size == stat.st_size
    assert again(library)["documents"]["changed"] == 1


def test_a_changed_paragraph_embeds_its_chunk_and_removes_the_old_one(library):
    before = library.audit()["part0/0.md"]
    old = paragraphs(0, 12)[5]
    path = library.docs / "part0/0.md"
    path.write_text(path.read_text().replace(old, "Something else stands here now."))
    report = again(library)
    assert report["documents"]["changed"] == 1
    after = library.audit()["part0/0.md"]
    assert sorted(library.embedded()) == sorted(set(after) - set(before))
    assert report["embedded"] <= 2
    assert not any(old in text for text in after)


def test_a_paragraph_inserted_at_the_top_moves_the_others_without_embedding_them(library):
    path = library.docs / "part0/0.md"
    path.write_text("A new beginning.\n\n" + path.read_text())
    report = again(library)
    assert report["embedded"] <= 2
    assert report["reused"] == report["chunks"] - report["embedded"]
    library.audit()


def test_a_removed_file_loses_its_points(library):
    (library.docs / "part0/0.md").unlink()
    report = again(library)
    assert report["documents"]["deleted"] == 1
    assert "part0/0.md" not in library.audit()


def test_a_renamed_or_moved_file_embeds_nothing(library):
    shutil.move(library.docs / "part0/0.md", library.docs / "renamed.md")
    report = again(library)
    assert (report["documents"]["moved"], report["documents"]["deleted"], report["embedded"]) == (1, 0, 0)
    assert library.embedded() == []
    assert {"renamed.md"} < library.audit().keys()


def test_a_copy_is_a_document_of_its_own_and_embeds_nothing(library):
    shutil.copy(library.docs / "part0/0.md", library.docs / "copy.md")
    report = again(library)
    assert (report["documents"]["added"], report["embedded"]) == (1, 0)
    texts = library.audit()
    assert texts["copy.md"] == texts["part0/0.md"]


def test_a_text_that_comes_back_embeds_nothing(library):
    path = library.docs / "part0/0.md"
    text = path.read_text()
    path.unlink()
    again(library)
    path.write_text(text)
    report = again(library)
    assert (report["documents"]["added"], report["embedded"]) == (1, 0)


def test_an_emptied_file_loses_its_points_and_says_why(library):
    (library.docs / "part0/0.md").write_text("")
    report = again(library)
    assert report["documents"]["skipped"] == 1
    assert report["skips"][0]["reason"].startswith("empty")
    assert "part0/0.md" not in library.audit()
    assert again(library)["documents"]["skipped"] == 1


def test_a_plan_tells_what_the_run_then_does_and_does_nothing_itself(library):
    path = library.docs / "part0/0.md"
    path.write_text(path.read_text() + "\n\nAn addition.")
    shutil.move(library.docs / "part1/1.md", library.docs / "moved.md")
    (library.docs / "part0/2.md").unlink()
    library.write("new.md", article(99))
    before = library.audit()
    arguments = ["--docs", str(library.docs), "--embedder", "counting:Counting", "--chunk-tokens", "128"]
    planned = library.run("plan", *arguments)
    assert library.embedded() == []
    assert library.audit() == before
    done = again(library)
    same = ("documents", "chunks", "embedded", "reused", "points", "tokens", "failures")
    assert {key: planned[key] for key in same} == {key: done[key] for key in same}
    assert done["documents"]["changed"] == done["documents"]["moved"] == done["documents"]["deleted"] == 1


def test_documents_are_the_same_wherever_their_folder_is_mounted(library):
    elsewhere = library.folder / "elsewhere"
    shutil.copytree(library.docs, elsewhere)
    shutil.rmtree(library.docs)
    library.docs = elsewhere
    assert again(library)["documents"]["unchanged"] == 6
