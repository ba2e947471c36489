"""The 739 entries of a real, hostile folder: each has an outcome, and none is lost without a reason."""

import subprocess
import sys
import zipfile
from collections import Counter
from pathlib import Path

import pytest

from pipelines_persistence.adapters.sources import open_source
from pipelines_persistence.configuration import LimitsConfig, SourceConfig
from pipelines_persistence.errors import DocumentError, Reason
from pipelines_persistence.ingestion.parsing import Parser
from pipelines_persistence.records import ParsedDocument

LIMITS = LimitsConfig()
MEGABYTE = 2**20


@pytest.fixture(scope="module")
def mixed(shared_data):
    return shared_data("mixed-formats/mixed.tar.zst")


@pytest.fixture(scope="module")
def outcomes(mixed) -> dict[str, ParsedDocument | Reason]:
    source, parser = open_source(SourceConfig(name="mixed", uri=str(mixed)), mixed), Parser(LIMITS)
    found: dict[str, ParsedDocument | Reason] = {}
    for entry in source.entries():
        try:
            found[entry.path] = parser.parse(source.read(entry, LIMITS.max_bytes), entry.path)
        except DocumentError as error:
            found[entry.path] = error.reason
    parser.close()
    return found


def test_every_entry_has_an_outcome(outcomes):
    reasons = Counter(outcome for outcome in outcomes.values() if isinstance(outcome, Reason))
    assert len(outcomes) == 739
    assert reasons == {
        Reason.DANGLING_LINK: 7,
        Reason.EMPTY: 2,
        Reason.NO_TEXT: 15,  # Word documents of empty paragraphs, tables and pictures
        Reason.UNSUPPORTED: 10,  # nine pictures and an EPUB
        Reason.BINARY: 1,
    }


def test_only_documents_without_any_text_say_that_they_have_none(mixed, outcomes):
    empty = [path for path, outcome in outcomes.items() if outcome is Reason.NO_TEXT]
    assert all(path.startswith("docx/") for path in empty)
    for path in empty:
        with zipfile.ZipFile(mixed / path) as archive:
            assert b"<w:t>" not in archive.read("word/document.xml"), path


def test_texts_in_legacy_encodings_equal_their_utf8_twins(outcomes):
    twins = {path: path.replace("-utf8.txt", ".txt") for path in outcomes if path.endswith("-utf8.txt")}
    assert len(twins) == 15
    for path, legacy in twins.items():
        twin, read = outcomes[path], outcomes[legacy]
        assert isinstance(twin, ParsedDocument)
        assert isinstance(read, ParsedDocument), legacy
        assert read.text == twin.text, legacy


def test_every_text_can_be_stored_and_has_one_kind_of_line_end(outcomes):
    for path, outcome in outcomes.items():
        if isinstance(outcome, ParsedDocument):
            assert outcome.text.encode("utf-8"), path
            assert not set("\r\0\ufeff") & set(outcome.text[:1] + outcome.text), path


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("html/git-doc/git-add.html", "Add file contents to the index"),
        ("html/git-doc/index.html", "the stupid content tracker"),
        ("html/debian-policy/policy.html/ch-scope.html", "This manual describes the policy requirements"),
        ("html/debian-policy/policy.pdf.gz", "Debian Policy Manual"),
        ("pdf/gnuplot.pdf", "gnuplot"),
        ("docx/tests-test.docx", "# python-docx was here!"),
        ("csv/receipt.csv", "case:concept:name: case-10011; "),
        ("json/example_log.json", "ocel:events.e1.ocel:activity: Create Order"),
        ("encodings/bom/tokenize_tests-latin1-coding-cookie-and-utf8-bom-sig.txt", "ЉЊЈЁЂ"),
    ],
)
def test_the_text_that_a_reader_would_search_for_is_there(outcomes, path, expected):
    outcome = outcomes[path]
    assert isinstance(outcome, ParsedDocument)
    assert expected in outcome.text


def test_a_large_text_is_parsed_in_bounded_memory(mixed):
    script = (
        "import resource, sys\n"
        "from pathlib import Path\n"
        "from pipelines_persistence.configuration import LimitsConfig\n"
        "from pipelines_persistence.ingestion.parsing import Parser\n"
        "parser = Parser(LimitsConfig()); parser.parse(b'# warm', 'a.md')\n"
        "peak = lambda who: resource.getrusage(who).ru_maxrss * 1024\n"
        "before = peak(resource.RUSAGE_SELF)\n"
        "text = parser.parse(Path(sys.argv[1]).read_bytes(), 'foldoc.txt').text\n"
        "parser.close()\n"
        "print(len(text), peak(resource.RUSAGE_SELF) - before, peak(resource.RUSAGE_CHILDREN))\n"
    )
    path: Path = mixed / "huge/foldoc.txt"
    done = subprocess.run([sys.executable, "-c", script, path], check=True, capture_output=True, text=True)
    characters, growth, child = map(int, done.stdout.split())
    assert characters > 5_000_000
    assert growth < 64 * MEGABYTE
    assert child < 200 * MEGABYTE
