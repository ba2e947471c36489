# ruff: noqa: RUF001 - texts in many scripts are the point
"""Bytes of any encoding give the text that was written."""

import codecs
import os
import random

import pytest

from pipelines_persistence.errors import DocumentError
from pipelines_persistence.ingestion.parsing.decode import decode

JAPANESE = (
    "吾輩は猫である。名前はまだ無い。どこで生れたか頓と見当がつかぬ。\nデータベースの設定を変更してください。"
)
KOREAN = "안녕하세요. 오늘은 날씨가 매우 좋습니다.\n데이터베이스를 설정합니다."
SIMPLIFIED = "数据库连接配置文件，请勿修改。\n中华人民共和国成立于一九四九年。"
TRADITIONAL = "資料庫連線設定檔，請勿修改。\n台北是一個美麗的城市。"
RUSSIAN = "Привет, мир! Это простой текст на русском языке."
FRENCH = "Déjà vu, le garçon a été à l'école où il mange des crêpes."
TEXTS = [
    (JAPANESE, ["cp932", "euc_jp", "iso2022_jp", "shift_jis_2004", "euc_jis_2004"]),
    ("設定ファイル", ["cp932", "euc_jp"]),
    ("# データベース接続の設定\nhost = localhost\n", ["cp932", "euc_jp"]),
    (KOREAN, ["euc_kr", "cp949", "johab", "iso2022_kr"]),
    (SIMPLIFIED, ["gb2312", "gbk", "gb18030", "hz"]),
    ("数据 library 配置", ["gbk"]),
    (TRADITIONAL, ["big5", "cp950", "big5hkscs", "gb18030"]),
    ("佢哋喺度做乜嘢？我哋嘅嘢係咁㗎喇，唔好嘈住晒。", ["big5hkscs"]),
    (RUSSIAN, ["cp1251", "koi8_r", "cp866", "iso8859_5"]),
    ("Україна — це європейська держава, їжа і ґанок.", ["cp1251"]),
    ("Καλημέρα κόσμε, αυτό είναι ένα κείμενο.", ["cp1253", "iso8859_7"]),
    ("שלום עולם, זה טקסט בעברית.", ["cp1255"]),
    ("مرحبا بالعالم، هذا نص باللغة العربية.", ["cp1256"]),
    ("สวัสดีชาวโลก นี่คือข้อความภาษาไทย", ["cp874"]),
    (FRENCH, ["cp1252", "latin-1", "mac_roman", "cp850"]),
    ("naïve", ["cp1252"]),
    ("Größe ändern", ["cp1252"]),
    ("It’s a “test” – really. café", ["cp1252"]),
    ("¿Dónde está el niño? ¡Mañana será otro día!", ["cp1252"]),
    ("a × b ± 5 m²", ["cp1252"]),
    ("It is 20°C outside", ["cp1252"]),
    ("Zażółć gęślą jaźń, proszę, źle śpi.", ["cp1250", "iso8859_2"]),
    ("Příliš žluťoučký kůň úpěl ďábelské ódy.", ["cp1250", "iso8859_2"]),
    ("Árvíztűrő tükörfúrógép és a többiek", ["cp1250"]),
    ("İstanbul’da güneşli bir gün, çocuklar şarkı söylüyor", ["cp1254"]),
    ("Lietuvių kalba yra viena iš seniausių, ąžuolas ėjo į mišką.", ["cp1257"]),
]


@pytest.mark.parametrize(
    ("text", "codec"),
    [(text, codec) for text, codecs in TEXTS for codec in codecs],
    ids=lambda value: value[:12],
)
def test_a_text_in_a_legacy_encoding_is_read_as_it_was_written(text, codec):
    assert decode(text.encode(codec)) == text


@pytest.mark.parametrize("codec", ["utf-16-le", "utf-16-be", "utf-32-le", "utf-32-be"])
@pytest.mark.parametrize("text", [JAPANESE, KOREAN, RUSSIAN, FRENCH, "plain ascii text\n"])
def test_wide_encodings_are_read_with_and_without_a_mark(text, codec):
    marks = {
        "utf-16-le": codecs.BOM_UTF16_LE,
        "utf-16-be": codecs.BOM_UTF16_BE,
        "utf-32-le": codecs.BOM_UTF32_LE,
        "utf-32-be": codecs.BOM_UTF32_BE,
    }
    assert decode(text.encode(codec)) == text
    assert decode(marks[codec] + text.encode(codec)) == text


def test_a_byte_order_mark_is_no_part_of_the_text():
    assert decode(codecs.BOM_UTF8 + b"# -*- coding: latin1 -*-\n\xc3\xa9") == "# -*- coding: latin1 -*-\né"


def test_line_ends_become_one_kind_and_nulls_go():
    assert decode(b"a\r\nb\rc\nd\0\0\0") == "a\nb\nc\nd"


@pytest.mark.parametrize(
    "head",
    [
        b'<?xml version="1.0" encoding="%s"?>\n',
        b'<html><head><meta charset="%s"></head>',
        b'<meta http-equiv="Content-Type" content="text/html; charset=%s">',
        b"# -*- coding: %s -*-\n",
    ],
)
def test_a_declared_encoding_is_believed_where_the_bytes_allow_it(head):
    # Bytes that would be read as Russian if nothing said otherwise.
    body = "Ïðèâåò, ìèð! Ýòî ïðîñòîé òåêñò"
    data = head % b"iso-8859-1" + body.encode("latin-1")
    assert decode(data).endswith(body)


def test_utf8_is_believed_before_a_declaration_that_contradicts_it():
    assert decode('<meta charset="iso-8859-1">é'.encode()).endswith("é")


def test_the_charset_of_the_envelope_is_believed():
    assert decode(RUSSIAN.encode("koi8_r"), "koi8-r") == RUSSIAN


def test_a_few_damaged_places_do_not_change_the_encoding():
    data = (SIMPLIFIED * 20).encode() + b"\xff" + (SIMPLIFIED * 20).encode()
    assert decode(data) == SIMPLIFIED * 20 + "\ufffd" + SIMPLIFIED * 20


def test_a_template_that_looks_like_hz_is_left_alone():
    for text in ("~{~a~^, ~}", "format ~{ab~} x", "~{foobar~}"):
        assert decode(text.encode()) == text


def test_a_text_is_always_storable():
    decode("a\ud800b".encode("utf-8", "surrogatepass") + SIMPLIFIED.encode() * 10).encode("utf-8")


@pytest.mark.parametrize(
    "data", [b"\x01\x02\x03\x04" * 100, bytes(range(256)) * 10, b"abc\0\0\0\1\2\3xyz" * 10]
)
def test_what_is_no_text_is_binary(data):
    with pytest.raises(DocumentError, match="binary"):
        decode(data)


def test_noise_beyond_ascii_is_undecodable():
    noise = random.Random(7).randbytes(400)
    with pytest.raises(DocumentError, match="undecodable"):
        decode(bytes(byte | 0x80 for byte in noise))


def test_no_bytes_raise_anything_but_a_document_error():
    chance = random.Random(os.environ.get("SEED", "11"))
    for size in range(1, 300, 3):
        data = chance.randbytes(size)
        for sample in (data, bytes(byte & 0x7F for byte in data), bytes(byte | 0x80 for byte in data)):
            try:
                decode(sample).encode("utf-8")
            except DocumentError:
                continue


def test_nuls_scattered_in_ascii_are_gaps_and_neither_utf_16_nor_binary():
    assert decode(b"text with \0 NUL \0 bytes ostrich") == "text with  NUL  bytes ostrich"
    log = b"a line of a log that goes on\n" * 40
    assert decode(log[:200] + b"\0" * 30 + log) == (log[:200] + log).decode()
