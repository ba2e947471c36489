"""Text in an encoding that says nothing about itself: the most plausible reading wins."""

from dataclasses import dataclass
from functools import cache

from pipelines_persistence.ingestion.parsing import plausibility

_SAMPLE = 4_000
_IMPLAUSIBLE_LETTERS = -6.5
_IMPLAUSIBLE_IDEOGRAPHS = -13.0
"""Average log probability of a character beyond ASCII below which nothing is read into the bytes ..."""
_BEYOND_ASCII = bytes(range(0x80, 0x100))
_MOSTLY = 0.3
"""... where they are at least this share of all: among ASCII, a rare sign is still a sign."""


@dataclass(frozen=True, slots=True)
class _Candidate:
    """A codec, a language it serves, and how rare it is (a prior in nats that settles ties)."""

    codec: str
    language: plausibility.Language
    rarity: float


def _alphabetic(languages: str, **codecs: float) -> list[_Candidate]:
    models = [plausibility.alphabet(name) for name in languages.split()]
    return [_Candidate(codec, model, rarity) for codec, rarity in codecs.items() for model in models]


_WESTERN = "french german spanish portuguese italian nordic dutch"
_CENTRAL = "polish czech hungarian romanian croatian"


@cache
def _candidates() -> list[_Candidate]:
    """Return the codecs: of two that read the same, the narrower is less rare."""
    return [
        *_alphabetic(_WESTERN, cp1252=0, cp850=6, mac_roman=6),
        *_alphabetic("icelandic", cp1252=3),
        _Candidate("cp932", plausibility.JAPANESE, 2),
        _Candidate("euc_jp", plausibility.JAPANESE, 2),
        _Candidate("gb18030", plausibility.SIMPLIFIED, 2),
        _Candidate("cp950", plausibility.TRADITIONAL, 2),
        _Candidate("euc_kr", plausibility.KOREAN, 2),
        _Candidate("cp949", plausibility.KOREAN, 3),
        _Candidate("big5hkscs", plausibility.TRADITIONAL, 3),
        _Candidate("johab", plausibility.KOREAN, 6),
        # The codecs of JIS X 0213 never came into use beyond a few archives.
        _Candidate("euc_jis_2004", plausibility.JAPANESE, 6),
        _Candidate("shift_jis_2004", plausibility.JAPANESE, 8),
        *_alphabetic("russian ukrainian serbian", cp1251=3, koi8_u=4, cp866=5, iso8859_5=6, mac_cyrillic=7),
        *_alphabetic(_CENTRAL, cp1250=3, iso8859_2=4, cp852=7),
        *_alphabetic("lithuanian latvian estonian", cp1257=4),
        *_alphabetic("greek", cp1253=4, iso8859_7=5),
        *_alphabetic("turkish", cp1254=2),
        *_alphabetic("hebrew", cp1255=4),
        *_alphabetic("arabic", cp1256=4),
        *_alphabetic("thai", cp874=4),
    ]


def decode_legacy(data: bytes) -> str | None:
    """Return the most plausible reading of bytes that are no UTF-8, None where there is none."""
    sample = _sample(data)
    readings = sorted(
        (reading for candidate in _candidates() if (reading := _reading(sample, candidate)) is not None),
        reverse=True,
    )
    for _, codec in readings:
        try:
            return data.decode(codec)
        except UnicodeDecodeError:
            continue  # the sample reads well, the whole does not
    return None


def _reading(sample: bytes, candidate: _Candidate) -> tuple[float, str] | None:
    """Return the score of a candidate, None where it cannot be."""
    try:
        text = sample.decode(candidate.codec)
    except UnicodeDecodeError:
        return None
    found = plausibility.likelihood(text, candidate.language)
    if found.average < _bound(sample, candidate.language):
        return None
    return found.total - candidate.rarity, candidate.codec


def _bound(sample: bytes, language: plausibility.Language) -> float:
    beyond_ascii = len(sample) - len(sample.translate(None, _BEYOND_ASCII))
    if language.alphabetic:
        return _IMPLAUSIBLE_LETTERS if beyond_ascii > len(sample) * _MOSTLY else _IMPLAUSIBLE_IDEOGRAPHS
    return _IMPLAUSIBLE_IDEOGRAPHS


def _sample(data: bytes) -> bytes:
    """Return whole lines with bytes beyond ASCII: a cut elsewhere could split a character."""
    lines: list[bytes] = []
    size = 0
    for line in data.splitlines():
        if line.isascii():
            continue
        lines.append(line)
        size += len(line)
        if size > _SAMPLE:
            break
    return b"\n".join(lines)
