"""Office files and PDF, built here byte by byte, and what damages, hides or inflates them."""

import io
import struct
import zipfile

import pptx
import pytest
import xlsxwriter

from pipelines_persistence.configuration import LimitsConfig
from pipelines_persistence.errors import DocumentError, Reason
from pipelines_persistence.ingestion.parsing import Parser
from pipelines_persistence.records import Markup

WORD = "http://schemas.openxmlformats.org/wordprocessingml/2006/main"
RELATIONS = "http://schemas.openxmlformats.org/package/2006/relationships"
OFFICE = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"


@pytest.fixture(scope="module")
def parser():
    parser = Parser(LimitsConfig(max_pages=10))
    yield parser
    parser.close()


def refused(parser: Parser, data: bytes, path: str) -> Reason:
    with pytest.raises(DocumentError) as caught:
        parser.parse(data, path)
    return caught.value.reason


def zipped(**members: str | bytes) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    return buffer.getvalue()


def docx(body: str, **more: str | bytes) -> bytes:
    kind = "application/vnd.openxmlformats-officedocument.wordprocessingml.document.main+xml"
    return zipped(**{
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/word/document.xml" ContentType="{kind}"/></Types>',
        "_rels/.rels": f'<Relationships xmlns="{RELATIONS}"><Relationship Id="r1" Type="{OFFICE}/officeDocument" '
        'Target="word/document.xml"/></Relationships>',
        "word/document.xml": f'<w:document xmlns:w="{WORD}"><w:body>{body}</w:body></w:document>',
        **more,
    })  # fmt: skip


def paragraph(text: str, style: str = "") -> str:
    properties = f'<w:pPr><w:pStyle w:val="{style}"/></w:pPr>' if style else ""
    return f"<w:p>{properties}<w:r><w:t>{text}</w:t></w:r></w:p>"


def pdf(*pages: str, trailer: str = "") -> bytes:
    kids = " ".join(f"{4 + 2 * number} 0 R" for number in range(len(pages)))
    objects = [
        "<</Type/Catalog/Pages 2 0 R>>",
        f"<</Type/Pages/Kids[{kids}]/Count {len(pages)}>>",
        "<</Title(A handbook)/Author(Somebody)>>",
    ]
    for number, text in enumerate(pages):
        stream = f"BT /F1 12 Tf 72 700 Td ({text}) Tj ET" if text else ""
        objects.append(
            f"<</Type/Page/Parent 2 0 R/MediaBox[0 0 612 792]/Contents {5 + 2 * number} 0 R"
            "/Resources<</Font<</F1<</Type/Font/Subtype/Type1/BaseFont/Helvetica>>>>>>>>"
        )
        objects.append(f"<</Length {len(stream)}>>stream\n{stream}\nendstream")
    out, offsets = "%PDF-1.4\n", []
    for number, content in enumerate(objects, start=1):
        offsets.append(len(out))
        out += f"{number} 0 obj{content}endobj\n"
    table = "".join(f"{offset:010} 00000 n \n" for offset in offsets)
    start = len(out)
    out += f"xref\n0 {len(objects) + 1}\n0000000000 65535 f \n{table}"
    out += f"trailer<</Size {len(objects) + 1}/Root 1 0 R/Info 3 0 R{trailer}>>\nstartxref\n{start}\n%%EOF"
    return out.encode("latin-1")


def test_a_word_document_gives_headings_tables_title_and_author(parser):
    core = (
        '<cp:coreProperties xmlns:cp="http://schemas.openxmlformats.org/package/2006/metadata/core-properties" '
        'xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:title>The title</dc:title><dc:creator>Ada</dc:creator></cp:coreProperties>'
    )
    styles = f'<w:styles xmlns:w="{WORD}"><w:style w:type="paragraph" w:styleId="Heading1"><w:name w:val="heading 1"/></w:style></w:styles>'
    relations = f'<Relationships xmlns="{RELATIONS}"><Relationship Id="r1" Type="{OFFICE}/styles" Target="styles.xml"/></Relationships>'
    table = f"<w:tbl><w:tr><w:tc>{paragraph('k')}</w:tc><w:tc>{paragraph('v')}</w:tc></w:tr></w:tbl>"
    data = docx(
        paragraph("Head", "Heading1") + paragraph("Some <!-- --> text") + table,
        **{"docProps/core.xml": core, "word/styles.xml": styles, "word/_rels/document.xml.rels": relations},
    )
    for path in ("a.docx", "misnamed.txt"):
        document = parser.parse(data, path)
        assert document.text == "# Head\n\nSome text\n\n| k | v |\n| --- | --- |"
        assert (document.title, document.markup) == ("The title", Markup.MARKDOWN)
        assert document.metadata == {"author": "Ada"}


def test_slides_are_sections_with_their_tables_and_notes(parser):
    presentation = pptx.Presentation()
    slide = presentation.slides.add_slide(presentation.slide_layouts[1])
    slide.shapes.title.text = "Results"
    slide.placeholders[1].text = "It works"
    slide.notes_slide.notes_text_frame.text = "Speak slowly"
    table = slide.shapes.add_table(1, 2, 0, 0, 100, 100).table
    table.cell(0, 0).text, table.cell(0, 1).text = "a", "b"
    presentation.save(buffer := io.BytesIO())
    document = parser.parse(buffer.getvalue(), "a.pptx")
    assert document.text == "## Results\n\nIt works\n\na | b\n\nSpeak slowly"
    assert document.metadata["pages"] == 1


def test_sheets_are_sections_whose_rows_name_their_columns(parser):
    workbook = xlsxwriter.Workbook(buffer := io.BytesIO())
    sheet = workbook.add_worksheet("People")
    for number, row in enumerate([("name", "age"), ("Ada", 36), ("Bob", 7.5)]):
        sheet.write_row(number, 0, row)
    workbook.add_worksheet("Empty")
    workbook.close()
    document = parser.parse(buffer.getvalue(), "a.xlsx")
    assert document.text == "## People\n\nname: Ada; age: 36\nname: Bob; age: 7.5"


def test_a_pdf_gives_the_text_of_its_pages_and_its_title(parser):
    document = parser.parse(pdf("Hello", "World"), "a.pdf")
    assert (document.text, document.title) == ("Hello\n\nWorld", "A handbook")
    assert document.metadata == {"pages": 2, "author": "Somebody"}


def test_a_pdf_of_pictures_has_no_text(parser):
    assert refused(parser, pdf("", ""), "a.pdf") is Reason.NO_TEXT


def test_a_pdf_with_too_many_pages_is_refused(parser):
    assert refused(parser, pdf(*["x"] * 11), "a.pdf") is Reason.TOO_MANY_PAGES


def test_what_a_password_protects_is_named(parser):
    locked = (
        "/ID[<00><00>]/Encrypt<</Filter/Standard/V 1/R 2/P -4/O<" + "11" * 32 + ">/U<" + "22" * 32 + ">>>"
    )
    assert refused(parser, pdf("secret", trailer=locked), "a.pdf") is Reason.ENCRYPTED
    ole = (
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500) + "EncryptedPackage".encode("utf-16-le") + bytes(500)
    )
    assert refused(parser, ole, "a.docx") is Reason.ENCRYPTED
    data = bytearray(zipped(**{"word/document.xml": "x"}))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    assert refused(parser, bytes(data), "a.docx") is Reason.ENCRYPTED


@pytest.mark.parametrize(
    ("data", "path"),
    [
        (docx("<w:p>"), "a.docx"),
        (docx(paragraph("x"))[:-40], "a.docx"),
        (zipped(**{"ppt/presentation.xml": "<broken"}), "a.pptx"),
        (zipped(**{"xl/workbook.xml": "<broken"}), "a.xlsx"),
        (b"%PDF-1.4\nbroken", "a.pdf"),
        (pdf("x")[:100], "a.pdf"),
    ],
    ids=["xml", "zip", "pptx", "xlsx", "pdf", "cut"],
)
def test_a_damaged_file_is_malformed_and_does_not_stop_the_next(parser, data, path):
    assert refused(parser, data, path) is Reason.MALFORMED
    assert parser.parse(pdf("Hello"), "b.pdf").text == "Hello"


def test_an_old_or_foreign_container_is_unsupported(parser):
    word = b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(500) + "WordDocument".encode("utf-16-le") + bytes(500)
    assert refused(parser, word, "a.doc") is Reason.UNSUPPORTED
    assert refused(parser, zipped(**{"a.md": "x"}), "a.docx") is Reason.UNSUPPORTED
    assert refused(parser, zipped(mimetype="application/epub+zip", x="y"), "a.epub") is Reason.UNSUPPORTED


def test_an_office_file_that_unpacks_without_bound_is_refused(parser):
    bomb = docx(paragraph("x"), **{"word/media/bomb.bin": bytes(64 << 20)})
    assert refused(parser, bomb, "a.docx") is Reason.EXPANSION


def test_an_office_file_that_lies_about_its_size_cannot_exhaust_memory(parser):
    honest = docx("".join(paragraph("a" * 1000) for _ in range(64_000)))
    size = 10_000
    lying = bytearray(honest)
    at = lying.rindex(b"PK\x01\x02")
    lying[at + 24 : at + 28] = struct.pack("<I", size)
    assert refused(parser, bytes(lying), "a.docx") in {
        Reason.MALFORMED,
        Reason.EXPANSION,
        Reason.OUT_OF_MEMORY,
    }


def test_entities_that_expand_without_bound_are_refused(parser):
    entities = '<!DOCTYPE x [<!ENTITY a "aaaaaaaaaa">' + "".join(
        f'<!ENTITY {chr(98 + i)} "{f"&{chr(97 + i)};" * 10}">' for i in range(9)
    )
    body = f'{entities}]><w:document xmlns:w="{WORD}"><w:body>{paragraph("&j;")}</w:body></w:document>'
    data = docx("", **{"word/document.xml": body})
    assert refused(parser, data, "a.docx") in {Reason.MALFORMED, Reason.OUT_OF_MEMORY}
