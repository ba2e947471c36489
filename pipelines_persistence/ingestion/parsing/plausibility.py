# ruff: noqa: RUF001 - characters that look like others are the point
"""How plausible a decoded text is: naive Bayes over characters, for each language that a codec serves.

The same bytes are read by each candidate codec, so the sums of log probabilities compare directly.
A character's probability is the share that its class has of running text, spread over the class: the
commonest characters of the language, then the levels into which the national standards themselves
order their characters (GB 2312 level 1 are the 3,755 that people write; level 2 and the extensions
follow), then the rest. ASCII is the same in every codec and counts the same in every model.

A text reuses its characters while a misreading scatters them: so a character that was seen before in
the same text gains (a cache model, as in speech recognition), which decides short and rare texts.
"""

import math
import unicodedata
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache

from pipelines_persistence.ingestion.parsing import frequencies as known

_ASCII = math.log(1 / 55)
_CACHE_SHARE = 0.25
_SCRIPT_MIX = math.log(0.01)
_SCRIPT_CHANGE = math.log(0.05)
_CASE_BREAK = math.log(0.03)
_ACCENT_RUN = math.log(0.12)
_STRAY_MARK = math.log(0.02)
_CLOSING = frozenset("’”»…—–·º°®™©´\u00a0›׳״")
_OPENING = frozenset("’‘“„«—–…¿¡·\u00a0‹")


@dataclass(frozen=True, slots=True)
class Language:
    """A model of running text.

    Attributes:
        probability: of a character that is not ASCII, among those that are not.
        alphabetic: whether its letters have neighbours that can be implausible.
        own_script: whether its letters form words of their own, which ASCII letters do not join.
    """

    probability: Callable[[str], float]
    alphabetic: bool = False
    own_script: bool = False


@dataclass(frozen=True, slots=True)
class Likelihood:
    """How likely a text is; both in nats.

    Attributes:
        total: comparable between readings of the same bytes.
        average: of a character beyond ASCII, comparable with a threshold.
    """

    total: float
    average: float


IMPOSSIBLE = Likelihood(-math.inf, -math.inf)


def likelihood(text: str, language: Language) -> Likelihood:
    """Return how likely a text is in a language; IMPOSSIBLE with a character that belongs in no text."""
    seen: Counter[str] = Counter()
    beyond, count, previous = 0.0, 0, " "
    for char in text:
        if char >= "\x80":
            if _belongs_nowhere(char):
                return IMPOSSIBLE
            cached = _CACHE_SHARE * seen[char] / count if count else 0.0
            beyond += math.log((1 - _CACHE_SHARE) * language.probability(char) + cached)
            seen[char] += 1
            count += 1
        if language.alphabetic:
            beyond += _transition(previous, char, own_script=language.own_script)
        elif (previous < "\x80") != (char < "\x80") and previous.isalnum() and char.isalnum():
            beyond += _SCRIPT_CHANGE
        previous = char
    return Likelihood(beyond + _ASCII * (len(text) - count), beyond / max(count, 1))


@cache
def _belongs_nowhere(char: str) -> bool:
    """Controls, private use, unassigned."""
    return unicodedata.category(char) in {"Cc", "Co", "Cn", "Cs"}


@cache
def _transition(left: str, right: str, *, own_script: bool) -> float:
    """Return the penalty for two characters that do not stand beside each other in words."""
    if left < "\x80" and right < "\x80":
        return 0.0
    if left.isalpha() and right.isalpha():
        return _transition_of_letters(left, right, own_script=own_script)
    stray_right = left.isalpha() and _is_mark(right) and right not in _CLOSING
    stray_left = right.isalpha() and _is_mark(left) and left not in _OPENING
    return _STRAY_MARK if stray_right or stray_left else 0.0


def _transition_of_letters(left: str, right: str, *, own_script: bool) -> float:
    penalty = _CASE_BREAK if left.islower() and right.isupper() else 0.0
    if own_script and (left < "\x80") != (right < "\x80"):
        penalty += _SCRIPT_MIX
    if not own_script and left >= "\x80" and right >= "\x80":
        penalty += _ACCENT_RUN
    return penalty


def _is_mark(char: str) -> bool:
    return char >= "\x80" and not char.isalpha() and not unicodedata.category(char).startswith("M")


def alphabet(name: str) -> Language:
    """Return the model of a language that is written with letters; see `frequencies.ALPHABETS`."""
    letters = known.ALPHABETS[name]
    own_script = letters[0] >= "\u0370"
    weights = {char: 1 / (rank + 5) for rank, char in enumerate(letters)}
    whole = sum(weights.values())
    shares = dict.fromkeys(known.SIGNS, 3e-3) | dict.fromkeys(known.PUNCTUATION, 0.004)
    shares |= {
        char.upper(): 0.08 * weight / whole for char, weight in weights.items() if len(char.upper()) == 1
    }
    shares |= {char: 0.8 * weight / whole for char, weight in weights.items()}
    foreign = {True: 1e-4, False: 3e-6}  # a letter of another language, a sign that nobody writes
    return Language(lambda char: shares.get(char) or foreign[char.isalpha()], True, own_script)  # noqa: FBT003 - the field is named in the class


def _encodes(char: str, codec: str) -> bytes:
    try:
        return char.encode(codec)
    except UnicodeEncodeError:
        return b""


def _is_cjk_punctuation(char: str) -> bool:
    return "\u3000" <= char <= "\u303f" or "\uff00" <= char <= "\uff65" or char in "ー・“”‘’—…·"


@cache
def _japanese(char: str) -> float:  # noqa: PLR0911 - a table of classes
    if "ぁ" <= char <= "ゖ":
        return 0.44 / 83
    if "ァ" <= char <= "ヶ":
        return 0.12 / 86
    if _is_cjk_punctuation(char):
        return 0.1 / 60
    if char in known.JAPANESE:
        return 0.22 / len(known.JAPANESE)
    if "\uff66" <= char <= "\uff9f":
        return 0.02 / 58
    raw = _encodes(char, "euc_jp")
    if len(raw) == 2 and "\u4e00" <= char <= "\u9fff":
        return 0.11 / 2965 if raw[0] < 0xD0 else 0.003 / 3390  # JIS X 0208 levels 1 and 2
    return 0.002 / 500 if raw else 1e-4 / 4300


@cache
def _korean(char: str) -> float:
    if char in known.KOREAN:
        return 0.7 / len(known.KOREAN)
    if "가" <= char <= "힣":
        return 0.2 / 2350 if _encodes(char, "euc_kr") else 0.004 / 8822
    if "ㄱ" <= char <= "ㆎ":
        return 0.01 / 94
    if _is_cjk_punctuation(char):
        return 0.03 / 60
    raw = _encodes(char, "euc_kr")
    if raw and "\u4e00" <= char <= "\u9fff":
        return 0.03 / 4888
    return 0.02 / 900 if raw else 1e-8


@cache
def _simplified(char: str) -> float:
    if _is_cjk_punctuation(char):
        return 0.1 / 60
    if char in known.SIMPLIFIED:
        return 0.55 / len(known.SIMPLIFIED)
    if raw := _encodes(char, "gb2312"):
        if not "\u4e00" <= char <= "\u9fff":
            return 0.002 / 600
        return 0.3 / 3755 if raw[0] < 0xD8 else 0.01 / 3008  # levels 1 and 2
    if char in known.TRADITIONAL:
        return 0.01 / len(known.TRADITIONAL)
    return 0.003 / 14000 if len(_encodes(char, "gbk")) == 2 else 1e-8


@cache
def _traditional(char: str) -> float:
    if _is_cjk_punctuation(char):
        return 0.1 / 60
    if char in known.TRADITIONAL:
        return 0.55 / len(known.TRADITIONAL)
    if raw := _encodes(char, "big5"):
        if not "\u4e00" <= char <= "\u9fff":
            return 0.002 / 400
        return 0.3 / 5401 if raw[0] < 0xC9 else 0.008 / 7652  # levels 1 and 2
    if char in "ĀÁǍÀĒÉĚÈŌÓǑÒāáǎàēéěèīíǐìōóǒòūúǔùǖǘǚǜüÊêɡ\u0304\u030c":
        return 0.002 / 62  # romanization, which HKSCS encodes beside its characters
    return 0.004 / 5000


JAPANESE = Language(_japanese)
KOREAN = Language(_korean)
SIMPLIFIED = Language(_simplified)
TRADITIONAL = Language(_traditional)
