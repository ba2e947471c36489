"""Folders and single files: what is listed, under which path, and what is refused."""

import os
import socket
import tempfile
import time
import unicodedata
from collections.abc import Iterator
from pathlib import Path

import pytest

from pipelines_persistence.adapters.sources import open_source
from pipelines_persistence.adapters.sources.globs import compile_glob
from pipelines_persistence.adapters.sources.names import printable, unique_names
from pipelines_persistence.configuration import SourceConfig
from pipelines_persistence.errors import ConfigurationError, DocumentError, Reason, SourceUnavailable
from pipelines_persistence.ports import Source
from pipelines_persistence.records import SourceEntry

LIMIT = 1 << 20


def source(root: Path | str, **options: object) -> Source:
    return open_source(SourceConfig.model_validate({"name": "docs", "uri": str(root), **options}), Path("/"))


def listed(root: Path | str, **options: object) -> dict[str, SourceEntry]:
    return {entry.path: entry for entry in source(root, **options).entries()}


def reasons(root: Path) -> dict[str, Reason | None]:
    return {path: entry.problem and entry.problem.reason for path, entry in listed(root).items()}


def write(path: Path, content: bytes = b"text") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def age(path: Path, now: float = 1.7e9) -> None:
    os.utime(path, (now, now))


@pytest.mark.parametrize(
    ("glob", "path", "matches"),
    [
        ("**/*", "top.md", True),
        ("**/*", "a/b/c.md", True),
        ("**/*.md", "top.md", True),
        ("**/*.md", "a/b.md", True),
        ("*.md", "top.md", True),
        ("*.md", "a/b.md", False),
        ("a/**", "a/b/c.md", True),
        ("a/**", "a", False),
        ("a/", "a/b/c.md", True),
        ("a/**/z.md", "a/z.md", True),
        ("a/**/z.md", "a/b/c/z.md", True),
        ("a?.md", "ab.md", True),
        ("a?.md", "a/.md", False),
        ("[ab].md", "b.md", True),
        ("[!ab].md", "b.md", False),
        ("[!ab].md", "c.md", True),
        ("a[!x]b", "a/b", False),
        ("v1.0/*.md", "v1x0/a.md", False),
        ("é.md", "é.md", True),
    ],
)
def test_a_star_stays_within_a_folder_and_two_cross_folders(glob, path, matches):
    assert bool(compile_glob(glob).fullmatch(path)) is matches


def test_a_folder_is_listed_in_the_order_of_its_paths(tmp_path):
    for name in ("a/x.md", "a.txt", "a+b.txt", "b.md", "a/b/c.md", "Z.md"):
        write(tmp_path / name)
    paths = list(listed(tmp_path))
    assert paths == sorted(paths)
    assert len(paths) == 6


def test_include_and_exclude_decide_what_is_taken_and_exclude_wins(tmp_path):
    for name in ("a.md", "a.txt", "sub/b.md", "drafts/c.md", "drafts/deep/d.md"):
        write(tmp_path / name)
    assert list(listed(tmp_path, include=["**/*.md"], exclude=["drafts/**"])) == ["a.md", "sub/b.md"]


def test_hidden_files_and_folders_are_left_out_unless_asked_for(tmp_path):
    for name in (".env", ".git/config", "a/.cache/x.md", "a/b.md"):
        write(tmp_path / name)
    assert list(listed(tmp_path)) == ["a/b.md"]
    assert len(listed(tmp_path, hidden=True)) == 4


def test_a_relative_uri_starts_at_the_folder_of_the_configuration(tmp_path):
    write(tmp_path / "docs/a.md")
    found = open_source(SourceConfig(name="docs", uri="docs"), tmp_path)
    assert [entry.path for entry in found.entries()] == ["a.md"]


def test_one_file_is_a_tree_of_one_document_whatever_its_name(tmp_path):
    path = write(tmp_path / ".notes.md", b"hello")
    found = source(path)
    (entry,) = found.entries()
    assert entry.path == ".notes.md"
    assert found.read(entry, LIMIT) == b"hello"


def test_a_missing_root_is_no_empty_listing(tmp_path):
    with pytest.raises(SourceUnavailable, match=r"nowhere.*nothing will be deleted"):
        listed(tmp_path / "nowhere")


@pytest.fixture
def unprivileged() -> Iterator[Path]:
    """A folder, and a user whom permissions bind: root may read everything."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        if (user := os.geteuid()) == 0:
            os.seteuid(65534)
        try:
            yield Path(name)
        finally:
            os.seteuid(user)


def test_a_folder_that_cannot_be_listed_makes_the_source_unavailable(unprivileged):
    write(unprivileged / "secret/a.md").parent.chmod(0)
    with pytest.raises(SourceUnavailable, match="secret"):
        listed(unprivileged)
    assert listed(unprivileged, exclude=["secret/**"]) == {}


def test_a_file_that_cannot_be_read_is_the_outcome_of_that_document(unprivileged):
    write(unprivileged / "a.md").chmod(0)
    found = source(unprivileged)
    (entry,) = found.entries()
    with pytest.raises(DocumentError, match="unreadable"):
        found.read(entry, LIMIT)


def test_a_folder_that_vanishes_during_the_listing_makes_the_source_unavailable(tmp_path):
    write(tmp_path / "a/1.md")
    write(tmp_path / "b/2.md")
    walk = source(tmp_path).entries()
    assert next(walk).path == "a/1.md"
    (tmp_path / "b/2.md").unlink()
    (tmp_path / "b").rmdir()
    with pytest.raises(SourceUnavailable):
        list(walk)


def test_links_are_followed_within_the_root_and_refused_beyond_it(tmp_path):
    write(tmp_path / "outside.md", b"private")
    root = tmp_path / "root"
    write(root / "a.md", b"hello")
    (root / "inside.md").symlink_to("a.md")
    (root / "outside.md").symlink_to("../outside.md")
    (root / "dangling.md").symlink_to("nowhere.md")
    (root / "self.md").symlink_to("self.md")
    (root / "folder").symlink_to(".")
    (root / "up").symlink_to("..")
    assert reasons(root) == {
        "a.md": None,
        "dangling.md": Reason.DANGLING_LINK,
        "folder": Reason.LINK_TO_FOLDER,
        "inside.md": None,
        "outside.md": Reason.LINK_OUTSIDE_ROOT,
        "self.md": Reason.DANGLING_LINK,
        "up": Reason.LINK_OUTSIDE_ROOT,
    }
    found = source(root)
    assert [found.read(entry, LIMIT) for entry in found.entries() if entry.path == "inside.md"] == [b"hello"]


def test_a_link_that_is_turned_out_of_the_root_after_the_listing_is_not_read(tmp_path):
    write(tmp_path / "secret", b"private")
    root = tmp_path / "root"
    write(root / "a.md")
    found = source(root)
    (entry,) = found.entries()
    (root / "a.md").unlink()
    (root / "a.md").symlink_to("../secret")
    with pytest.raises(DocumentError, match="link_outside_root"):
        found.read(entry, LIMIT)


def test_a_root_that_is_a_link_is_a_root(tmp_path):
    write(tmp_path / "real/a.md")
    (tmp_path / "link").symlink_to("real")
    assert reasons(tmp_path / "link") == {"a.md": None}


def test_pipes_and_sockets_are_named_and_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "via-link").symlink_to("pipe")
    with socket.socket(socket.AF_UNIX) as unix:
        unix.bind(str(tmp_path / "socket"))
        assert set(reasons(tmp_path).values()) == {Reason.SPECIAL_FILE}


def test_a_pipe_that_took_the_place_of_a_file_does_not_block(tmp_path):
    path = write(tmp_path / "a.md")
    found = source(tmp_path)
    (entry,) = found.entries()
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DocumentError, match="special_file"):
        found.read(entry, LIMIT)


def test_a_file_that_vanished_is_the_outcome_of_that_document(tmp_path):
    path = write(tmp_path / "a.md")
    found = source(tmp_path)
    (entry,) = found.entries()
    path.unlink()
    with pytest.raises(DocumentError, match="vanished"):
        found.read(entry, LIMIT)


def test_a_file_beyond_the_limit_is_refused_and_one_at_the_limit_is_read(tmp_path):
    write(tmp_path / "a.md", b"12345")
    found = source(tmp_path)
    (entry,) = found.entries()
    assert found.read(entry, 5) == b"12345"
    with pytest.raises(DocumentError, match="too_large"):
        found.read(entry, 4)


def test_a_path_is_in_nfc_and_read_by_the_name_on_disk(tmp_path):
    decomposed = unicodedata.normalize("NFD", "é/ü.md")
    write(tmp_path / decomposed, b"hello")
    found = source(tmp_path)
    (entry,) = found.entries()
    assert entry.path == "é/ü.md"
    assert source(tmp_path).read(entry, LIMIT) == found.read(entry, LIMIT) == b"hello"


def test_two_names_that_are_one_in_nfc_are_two_documents(tmp_path):
    composed, decomposed = (unicodedata.normalize(form, "é.md") for form in ("NFC", "NFD"))
    write(tmp_path / composed, b"composed")
    write(tmp_path / decomposed, b"decomposed")
    found = source(tmp_path)
    contents = {entry.path: found.read(entry, LIMIT) for entry in found.entries()}
    assert contents.pop("é.md") == b"composed"
    assert list(contents.values()) == [b"decomposed"]
    assert all(unicodedata.is_normalized("NFC", path) and path.endswith(".md") for path in contents)


def test_a_name_that_is_no_utf8_becomes_a_path_that_can_be_stored(tmp_path):
    raw = os.fsencode(tmp_path) + b"/caf\xe9.md"
    Path(os.fsdecode(raw)).write_bytes(b"hello")
    write(tmp_path / "caf%E9.md", b"another")
    found = source(tmp_path)
    contents = {entry.path: found.read(entry, LIMIT) for entry in found.entries()}
    assert contents.pop("caf%E9.md") == b"another"
    assert list(contents.values()) == [b"hello"]
    assert all(path.encode("utf-8") for path in contents)


def test_printable_names_differ_whatever_the_order_of_the_listing():
    names = ["a\udcff", "a%FF", "a\nb", "a%0Ab", unicodedata.normalize("NFD", "é"), "é"]
    forward, backward = unique_names(names), unique_names(reversed(names))
    assert forward == backward
    assert len(set(forward.values())) == len(names)
    assert printable("a\nb") == "a%0Ab"


def test_a_signature_changes_with_the_content_and_is_withheld_while_a_change_could_go_unseen(tmp_path):
    path = write(tmp_path / "a.md", b"one")
    age(path)
    assert listed(tmp_path)["a.md"].signature is None  # ctime is now
    time.sleep(2.1)
    before = listed(tmp_path)["a.md"].signature
    assert before is not None
    assert listed(tmp_path)["a.md"].signature == before
    path.write_bytes(b"two")
    age(path)  # the same size and mtime: only ctime tells
    time.sleep(2.1)
    assert listed(tmp_path)["a.md"].signature not in {before, None}


def test_the_documents_of_the_installed_packages_are_a_source():
    found = source("python-packages://")
    paths = [entry.path for entry in found.entries()]
    assert any(path.startswith("fsspec-") and path.endswith(".dist-info/METADATA") for path in paths)
    assert all(path.endswith((".md", ".rst", "METADATA")) for path in paths)


@pytest.mark.parametrize(
    ("uri", "message"),
    [
        ("s3://bucket/docs", r"pip install 'pipelines-persistence\[s3\]'"),
        ("gs://bucket/docs", r"pip install 'pipelines-persistence\[gcs\]'"),
        ("nonsense://x", "nonsense"),
        ("docs.tar.zst", "Zstandard"),
    ],
)
def test_a_protocol_that_is_not_there_is_an_error_of_configuration(uri, message):
    with pytest.raises(ConfigurationError, match=message):
        source(uri)
