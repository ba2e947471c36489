"""Archives and remote trees: the same rules as for folders, and what only containers can do wrong."""

import io
import os
import tarfile
import time
import zipfile
from pathlib import Path

import fsspec
import pytest

from pipelines_persistence.adapters.sources import open_source, tarred
from pipelines_persistence.adapters.sources.remote import redacted, remote_signature
from pipelines_persistence.configuration import SourceConfig
from pipelines_persistence.errors import DocumentError, Reason, SourceUnavailable
from pipelines_persistence.ports import Source

LIMIT = 1 << 20


def source(uri: Path | str, **options: object) -> Source:
    return open_source(SourceConfig.model_validate({"name": "docs", "uri": str(uri), **options}), Path("/"))


def outcomes(found: Source) -> dict[str, bytes | Reason]:
    return {
        entry.path: entry.problem.reason if entry.problem else found.read(entry, LIMIT)
        for entry in found.entries()
    }


def zip_of(path: Path, **members: bytes) -> Path:
    with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return path


def add(archive: tarfile.TarFile, name: str, content: bytes = b"", **fields: object) -> None:
    info = tarfile.TarInfo(name)
    info.size = len(content)
    for field, value in fields.items():
        setattr(info, field, value)
    archive.addfile(info, io.BytesIO(content))


def test_a_zip_is_listed_by_path_and_filtered_like_a_folder(tmp_path):
    path = zip_of(tmp_path / "a.zip", **{"b.md": b"b", "a/x.md": b"x", ".hidden": b"h", "c.txt": b"c"})
    assert outcomes(source(path, include=["**/*.md"])) == {"a/x.md": b"x", "b.md": b"b"}


def test_the_signature_of_a_zip_member_is_its_checksum_and_size(tmp_path):
    first = zip_of(tmp_path / "a.zip", same=b"one", other=b"two")
    second = zip_of(tmp_path / "b.zip", same=b"one", other=b"six")
    before = {entry.path: entry.signature for entry in source(first).entries()}
    after = {entry.path: entry.signature for entry in source(second).entries()}
    assert before["same"] == after["same"] is not None
    assert before["other"] != after["other"]


def test_members_that_leave_the_archive_are_entries_with_a_problem(tmp_path):
    path = zip_of(
        tmp_path / "a.zip",
        **{"../up.md": b"x", "/etc/absolute.md": b"y", "a/../../b.md": b"z", "ok.md": b"k"},
    )
    found = outcomes(source(path, hidden=True))
    assert found.pop("ok.md") == b"k"
    assert list(found.values()) == [Reason.LINK_OUTSIDE_ROOT] * 3
    assert not any(".." in name or name.startswith("/") for name in found)


def test_an_encrypted_member_is_named_and_the_others_are_read(tmp_path):
    path = zip_of(tmp_path / "a.zip", **{"secret.md": b"hidden text", "open.md": b"hello"})
    raw = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 8), (b"PK\x03\x04", 6)):
        raw[raw.index(signature) + offset] |= 1
    path.write_bytes(raw)
    assert outcomes(source(path)) == {"open.md": b"hello", "secret.md": Reason.ENCRYPTED}


def test_a_link_in_a_zip_follows_the_rules_for_links(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("docs/a.md", b"hello")
        for name, target in (
            ("docs/link.md", "a.md"),
            ("out.md", "../../etc/passwd"),
            ("no.md", "none"),
            ("dir", "docs"),
        ):
            info = zipfile.ZipInfo(name)
            info.create_system, info.external_attr = 3, 0o120777 << 16
            archive.writestr(info, target)
    assert outcomes(source(tmp_path / "a.zip")) == {
        "dir": Reason.LINK_TO_FOLDER,
        "docs/a.md": b"hello",
        "docs/link.md": b"hello",
        "no.md": Reason.DANGLING_LINK,
        "out.md": Reason.LINK_OUTSIDE_ROOT,
    }


@pytest.mark.parametrize("method", [zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_bomb_is_refused_before_it_is_unpacked(tmp_path, method):
    with zipfile.ZipFile(tmp_path / "a.zip", "w", method) as archive:
        archive.writestr("bomb", b"\0" * (4 * LIMIT))
    found = source(tmp_path / "a.zip")
    (entry,) = found.entries()
    with pytest.raises(DocumentError, match="too_large"):
        found.read(entry, LIMIT)


def test_names_in_a_zip_are_read_as_utf8_even_where_the_archive_does_not_say_so(tmp_path):
    path = zip_of(tmp_path / "a.zip", **{"caf\u00e9.md": b"x"})
    raw = bytearray(path.read_bytes())
    for signature, offset in ((b"PK\x01\x02", 9), (b"PK\x03\x04", 7)):
        raw[raw.index(signature) + offset] &= ~0x08
    path.write_bytes(raw)
    assert list(outcomes(source(path))) == ["café.md"]


@pytest.mark.parametrize("name", ["a.zip", "a.tar", "a.tar.gz", "a.tgz", "a.tar.xz"])
def test_an_archive_that_is_none_makes_the_source_unavailable_and_is_named(tmp_path, name):
    (tmp_path / name).write_bytes(b"this is no archive at all" * 100)
    with pytest.raises(SourceUnavailable, match=name):
        outcomes(source(tmp_path / name))


def test_a_missing_archive_makes_the_source_unavailable(tmp_path):
    with pytest.raises(SourceUnavailable, match="no such file"):
        outcomes(source(tmp_path / "none.zip"))


def test_a_zip_member_with_a_wrong_checksum_is_malformed(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.md", b"hello world")
    raw = (tmp_path / "a.zip").read_bytes().replace(b"hello", b"jello")
    (tmp_path / "a.zip").write_bytes(raw)
    found = source(tmp_path / "a.zip")
    (entry,) = found.entries()
    with pytest.raises(DocumentError, match="malformed"):
        found.read(entry, LIMIT)


@pytest.mark.parametrize("suffix", ["tar", "tar.gz", "tar.bz2", "tar.xz", "tgz"])
def test_a_tar_is_read_in_every_compression(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    with tarfile.open(path, f"w:{suffix.removeprefix('tar').strip('.').replace('tgz', 'gz')}") as archive:
        add(archive, "b.md", b"b")
        add(archive, "a/x.md", b"x")
    assert outcomes(source(path)) == {"a/x.md": b"x", "b.md": b"b"}


def test_special_members_and_links_of_a_tar_follow_the_rules(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        add(archive, "docs/a.md", b"hello")
        add(archive, "docs/soft.md", type=tarfile.SYMTYPE, linkname="a.md")
        add(archive, "docs/hard.md", type=tarfile.LNKTYPE, linkname="docs/a.md")
        add(archive, "out.md", type=tarfile.SYMTYPE, linkname="/etc/passwd")
        add(archive, "loop.md", type=tarfile.SYMTYPE, linkname="loop.md")
        add(archive, "pipe", type=tarfile.FIFOTYPE)
        add(archive, "caf\udce9.md", b"raw")
    assert outcomes(source(tmp_path / "a.tar")) == {
        "caf%E9.md": b"raw",
        "docs/a.md": b"hello",
        "docs/hard.md": b"hello",
        "docs/soft.md": b"hello",
        "loop.md": Reason.DANGLING_LINK,
        "out.md": Reason.LINK_OUTSIDE_ROOT,
        "pipe": Reason.SPECIAL_FILE,
    }


def test_a_truncated_tar_is_never_passed_off_as_whole(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        for number in range(20):
            add(archive, f"{number:02}.md", b"x" * 600)
    raw = (tmp_path / "a.tar").read_bytes()
    for size in (512 * 3, 512 * 6, 512 * 7, 512 * 7 + 100, 512 * 60):
        (tmp_path / "b.tar").write_bytes(raw[:size])
        with pytest.raises(SourceUnavailable, match=r"b\.tar"):
            outcomes(source(tmp_path / "b.tar"))


def test_a_truncated_compressed_tar_makes_the_source_unavailable(tmp_path):
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        add(archive, "a.md", os.urandom(5000))
    raw = (tmp_path / "a.tar.gz").read_bytes()
    (tmp_path / "a.tar.gz").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(SourceUnavailable):
        outcomes(source(tmp_path / "a.tar.gz"))


def test_a_compressed_tar_unpacks_to_a_bounded_size(tmp_path, monkeypatch):
    monkeypatch.setattr(tarred, "_FREE_EXPANSION", 1 << 20)
    with tarfile.open(tmp_path / "a.tar.gz", "w:gz") as archive:
        add(archive, "bomb", b"\0" * (8 << 20))
    with pytest.raises(SourceUnavailable, match="unpacks to more"):
        outcomes(source(tmp_path / "a.tar.gz"))


def test_the_signature_of_a_tar_member_follows_the_archive_and_is_withheld_while_that_is_new(tmp_path):
    with tarfile.open(tmp_path / "a.tar", "w") as archive:
        add(archive, "a.md", b"one")
    found = source(tmp_path / "a.tar")
    assert [entry.signature for entry in found.entries()] == [None]
    time.sleep(2.1)
    first, second = ([entry.signature for entry in found.entries()] for _ in range(2))
    assert first == second != [None]


def test_an_archive_that_is_replaced_is_read_afresh(tmp_path):
    path = zip_of(tmp_path / "a.zip", a=b"one")
    found = source(path)
    assert outcomes(found) == {"a": b"one"}
    zip_of(path, a=b"two", b=b"six")
    assert outcomes(found) == {"a": b"two", "b": b"six"}


def test_a_tree_that_fsspec_reaches_follows_the_same_rules():
    memory = fsspec.filesystem("memory")
    memory.pipe({"/bucket/b.md": b"b", "/bucket/a/x.md": b"x", "/bucket/.hidden": b"h"})
    try:
        found = source("memory://bucket")
        assert outcomes(found) == {"a/x.md": b"x", "b.md": b"b"}
        assert outcomes(source("memory://bucket/b.md")) == {"b.md": b"b"}
        (_, entry) = found.entries()
        with pytest.raises(DocumentError, match="too_large"):
            found.read(entry, 0)
        memory.rm("/bucket/b.md")
        with pytest.raises(DocumentError, match="vanished"):
            found.read(entry, LIMIT)
    finally:
        memory.rm("/bucket", recursive=True)
    with pytest.raises(SourceUnavailable, match="no such file"):
        outcomes(source("memory://bucket"))


def test_an_archive_may_lie_on_a_remote_file_system(tmp_path):
    memory = fsspec.filesystem("memory")
    memory.pipe("/remote.zip", zip_of(tmp_path / "a.zip", **{"a.md": b"hello"}).read_bytes())
    try:
        assert outcomes(source("memory://remote.zip")) == {"a.md": b"hello"}
    finally:
        memory.rm("/remote.zip")


def test_a_remote_signature_is_what_the_store_says_of_the_content():
    assert remote_signature({"size": 1, "ETag": '"abc"'}) == 'ETag="abc"-1'
    assert remote_signature({"size": 1, "generation": "7"}) == "generation=7-1"
    assert remote_signature({"size": 1, "LastModified": "today"}) is None


def test_a_password_in_a_uri_is_never_shown():
    assert redacted("s3://key:secret@bucket/x") == "s3://***@bucket/x"
