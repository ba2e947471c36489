"""Formats that are text: structure kept, metadata typed."""

import gzip
import json

import pytest

from pipelines_persistence.configuration import LimitsConfig
from pipelines_persistence.errors import DocumentError, Reason
from pipelines_persistence.ingestion.parsing import Parser
from pipelines_persistence.records import Markup, ParsedDocument


@pytest.fixture(scope="module")
def parser():
    parser = Parser(LimitsConfig())
    yield parser
    parser.close()


def refused(parser: Parser, data: bytes, path: str) -> Reason:
    with pytest.raises(DocumentError) as caught:
        parser.parse(data, path)
    return caught.value.reason


def test_front_matter_becomes_typed_metadata_and_leaves_the_text(parser):
    document = parser.parse(
        b"---\ntitle: A guide\ntags: [a, b]\ndate: 2024-05-01\ndraft: false\nweight: 1.5\nnan: .nan\n---\n# Hello\n",
        "a.md",
    )
    assert document.text == "# Hello\n"
    assert document.title == "A guide"
    assert document.metadata == {
        "title": "A guide", "tags": ["a", "b"], "date": "2024-05-01", "draft": False, "weight": 1.5, "nan": "nan",
    }  # fmt: skip
    assert json.dumps(document.metadata)


@pytest.mark.parametrize(
    "head", ["---\njust a line\n---\n", "---\n[1, 2]\n---\n", "---\n{broken\n---\n", "---\nunclosed: yes\n"]
)
def test_what_only_looks_like_front_matter_stays_text(parser, head):
    assert parser.parse((head + "body\n").encode(), "a.md").text == head + "body\n"


def test_front_matter_that_expands_without_bound_stays_text(parser):
    bomb = "a: &a [x, x]\n" + "".join(
        f"{chr(98 + i)}: &{chr(98 + i)} [*{chr(97 + i)}, *{chr(97 + i)}]\n" for i in range(20)
    )
    document = parser.parse(f"---\n{bomb}---\nbody\n".encode(), "a.md")
    assert document.metadata == {}
    assert bomb in document.text


@pytest.mark.parametrize(
    ("text", "title"),
    [
        ("# One #\n\n# Two", "One"),
        ("```\n# comment\n```\n## Real `title` { #anchor }\n", "Real title"),
        ("Setext\n======\n", "Setext"),
        ("no heading", ""),
    ],
)
def test_the_first_heading_is_the_title_of_markdown(parser, text, title):
    assert parser.parse(text.encode(), "a.md").title == title


@pytest.mark.parametrize("text", ["=====\nTitle\n=====\n\nBody", "Title\n-----\n\nBody"])
def test_the_first_underlined_line_is_the_title_of_restructured_text(parser, text):
    document = parser.parse(text.encode(), "a.rst")
    assert (document.title, document.markup, document.text) == ("Title", Markup.RESTRUCTURED_TEXT, text)


def test_the_description_of_a_package_says_its_own_markup(parser):
    head = "Metadata-Version: 2.1\nName: thing\nVersion: 1.0\nSummary: Does things.\n"
    markdown = parser.parse(
        f"{head}Description-Content-Type: text/markdown; charset=UTF-8\n\n# Thing é\n".encode(), "x/METADATA"
    )
    assert (markdown.title, markdown.markup) == ("thing", Markup.MARKDOWN)
    assert markdown.text == "Does things.\n\n# Thing é\n"
    assert markdown.metadata == {"package": "thing", "version": "1.0", "summary": "Does things."}
    legacy = parser.parse(f"{head}Description: Thing\n        =====\n        Body\n".encode(), "x/PKG-INFO")
    assert (legacy.markup, legacy.text) == (Markup.RESTRUCTURED_TEXT, "Does things.\n\nThing\n=====\nBody\n")


def test_a_message_gives_its_body_and_names_its_attachments(parser):
    data = (
        b"From: a@example.org\r\nTo: b@example.org\r\nSubject: =?utf-8?q?Gr=C3=BC=C3=9Fe?=\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n--x\r\nContent-Type: text/html; charset=koi8-r\r\n\r\n'
        b"<p>" + "Привет".encode("koi8-r") + b"</p>\r\n--x\r\nContent-Type: application/pdf\r\n"
        b"Content-Disposition: attachment; filename=a.pdf\r\n\r\nxx\r\n--x--\r\n"
    )
    for path in ("a.eml", "no-suffix"):
        document = parser.parse(data, path)
        assert (document.title, document.text) == ("Grüße", "Привет")
        assert document.metadata["attachments"] == ["a.pdf"]
        assert document.metadata["from"] == "a@example.org"


def test_every_row_of_a_table_carries_the_names_of_its_columns(parser):
    document = parser.parse(b'name;note\nAda;"first;\nprogrammer"\nBob;\n', "a.csv")
    assert document.text == "name: Ada; note: first; programmer\nname: Bob"
    assert parser.parse(b"1\t2\n3\t4\n", "a.tsv").text == "1; 2\n3; 4"


def test_the_values_of_json_carry_their_paths_and_records_stand_apart(parser):
    data = json.dumps(
        [{"id": 1.10, "tags": ["a", "b"], "in": {"deep": True}}, {"id": 2, "none": None}]
    ).encode()
    assert parser.parse(data, "a.json").text == "id: 1.1\ntags: a, b\nin.deep: true\n\nid: 2"
    lines = b'{"a": 1}\n\nnot json\n{"a": {"b": 2}}\n'
    assert parser.parse(lines, "a.jsonl").text == "a: 1\n\nnot json\n\na.b: 2"


def test_json_with_comments_stays_as_it_is(parser):
    document = parser.parse(b'{"a": 1} // why', "a.json")
    assert (document.text, document.markup) == ('{"a": 1} // why', Markup.CODE)


def test_a_notebook_gives_its_cells_without_outputs(parser):
    cells = [
        {"cell_type": "markdown", "source": ["# Title\n", "text"]},
        {"cell_type": "code", "source": "print(1)", "outputs": [{"text": "NOISE"}]},
    ]
    document = parser.parse(json.dumps({"cells": cells}).encode(), "a.ipynb")
    assert (document.title, document.text) == ("Title", "# Title\ntext\n\n```python\nprint(1)\n```")


def test_gzip_data_is_parsed_by_what_is_in_it(parser):
    document = parser.parse(gzip.compress(b"# Title\n") + gzip.compress(b"more\n"), "a.md.gz")
    assert (document.title, document.text) == ("Title", "# Title\nmore\n")
    assert (
        parser.parse(gzip.compress(b"<html><body><p>x</p></body></html>"), "a.gz").media_type == "text/html"
    )


def test_code_is_code_and_unknown_text_is_plain(parser):
    assert parser.parse(b"def f(): ...", "a.py").markup is Markup.CODE
    assert parser.parse(b"#!/bin/sh\necho", "run").markup is Markup.CODE
    assert parser.parse(b"hello", "a.unknown").markup is Markup.PLAIN


@pytest.mark.parametrize(
    ("data", "path", "reason"),
    [
        (b"", "a.md", Reason.EMPTY),
        (b" \n\t\n", "a.md", Reason.NO_TEXT),
        (b"---\ntitle: x\n---\n", "a.md", Reason.NO_TEXT),
        (b"\x89PNG\r\n\x1a\n....", "a.md", Reason.UNSUPPORTED),
        (b"\x00\x01\x02\x03" * 50, "a.txt", Reason.BINARY),
        (b"<svg xmlns='x'><text>a</text></svg>", "a.svg", Reason.UNSUPPORTED),
        (gzip.compress(b"x" * 100)[:-9], "a.gz", Reason.MALFORMED),
        (b"\x1f\x8b\x08\x00broken", "a.gz", Reason.MALFORMED),
        (gzip.compress(b"\0" * (64 << 20)), "a.gz", Reason.EXPANSION),
        (gzip.compress(gzip.compress(gzip.compress(gzip.compress(b"x")))), "a.gz", Reason.EXPANSION),
        (gzip.compress(b""), "a.gz", Reason.EMPTY),
    ],
)  # fmt: skip
def test_what_has_no_text_is_a_named_outcome(parser, data, path, reason):
    assert refused(parser, data, path) is reason


def test_text_beyond_the_bound_is_too_large():
    parser = Parser(LimitsConfig(max_text=100))
    assert refused(parser, b"x" * 101, "a.txt") is Reason.TOO_LARGE
    assert isinstance(parser.parse(b"x" * 100, "a.txt"), ParsedDocument)


def test_the_version_names_every_library_that_decides_the_text(parser):
    assert "pypdfium2" in parser.version
    assert parser.version == Parser(LimitsConfig()).version
