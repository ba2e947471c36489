import itertools
import random
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines_persistence.errors import ConfigurationError
from pipelines_persistence.ingestion.chunking import Chunker
from pipelines_persistence.records import Markup, ParsedDocument


class Words:
    """Counts words and single marks: not additive over a cut inside a word, like a real tokenizer."""

    def count(self, texts):
        return [len(re.findall(r"\w{1,6}|[^\w\s]", text)) for text in texts]


def document(text, markup=Markup.MARKDOWN):
    return ParsedDocument(text, markup, "text/markdown")


def chunker(tokens=40, overlap=0, special=2):
    return Chunker(Words(), tokens, special, overlap)


def prose(seed, paragraphs):
    rng = random.Random(seed)
    words = ["".join(rng.choices("abcdefghij", k=5)) for _ in range(300)]
    return [" ".join(rng.choices(words, k=rng.randint(4, 30))) + "." for _ in range(paragraphs)]


TEXTS = st.lists(
    st.one_of(
        st.sampled_from(
            [
                "# Head",
                "## Sub section",
                "```\ncode\n\nmore code\n```",
                "* item\n* item",
                "漢字かな交じり文。",
            ]
        ),
        st.text(alphabet=st.sampled_from("abc def.\n#`é漢😀\u0301"), max_size=300),
    ),
    max_size=12,
).map("\n\n".join)


@pytest.mark.parametrize("markup", list(Markup))
@given(text=TEXTS, tokens=st.integers(16, 60), share=st.sampled_from([0, 0, 4, 8]))
def test_chunks_fit_lie_in_the_text_and_lose_nothing(markup, text, tokens, share):
    cut = Chunker(Words(), tokens, 2, share if share <= (tokens - 10) else 0)
    chunks = cut.split(document(text, markup))
    for chunk in chunks:
        assert text[chunk.start : chunk.end] == chunk.text
        assert chunk.tokens == Words().count([chunk.text])[0] + 2 <= tokens
    covered = set(itertools.chain.from_iterable(range(chunk.start, chunk.end) for chunk in chunks))
    assert all(text[position].isspace() for position in set(range(len(text))) - covered)


def test_a_chunk_knows_the_sections_it_stands_in():
    filler = " ".join(["word"] * 30)
    text = f"# Guide\n\n{filler}\n\n## Install\n\n{filler}\n\n### Linux\n\n{filler}\n\n## Use\n\n{filler}"
    paths = [chunk.headings for chunk in chunker().split(document(text))]
    assert paths == [("Guide",), ("Guide", "Install"), ("Guide", "Install", "Linux"), ("Guide", "Use")]


def test_a_heading_stays_with_what_follows_it():
    text = f"{' '.join(['word'] * 34)}\n\n## Next\n\n{' '.join(['other'] * 20)}"
    assert [chunk.text.split()[0] for chunk in chunker().split(document(text))] == ["word", "##"]


def test_a_code_fence_that_fits_is_not_cut():
    fence = "```python\n" + "\n\n".join(f"call({n})" for n in range(4)) + "\n```"
    text = f"{' '.join(['word'] * 20)}\n\n{fence}\n\n{' '.join(['word'] * 20)}"
    assert any(fence in chunk.text for chunk in chunker().split(document(text)))


def test_an_inserted_paragraph_changes_hardly_more_than_the_chunk_it_falls_into():
    paragraphs = prose(7, 100)
    before = {chunk.text for chunk in chunker(120).split(document("\n\n".join(paragraphs)))}
    changed = []
    for position in range(len(paragraphs)):
        edited = [*paragraphs[:position], "A new paragraph stands here.", *paragraphs[position:]]
        after = chunker(120).split(document("\n\n".join(edited)))
        changed.append(sum(chunk.text not in before for chunk in after))
    assert sum(changed) / len(changed) <= 2
    assert max(changed) <= len(before) // 2


def test_chunks_fill_at_least_a_third_of_the_limit_on_average():
    chunks = chunker(120).split(document("\n\n".join(prose(3, 300))))
    assert sum(chunk.tokens for chunk in chunks) / len(chunks) > 60


def test_an_overlap_repeats_the_end_of_the_chunk_before():
    sentences = " ".join(f"Sentence number {n} ends here." for n in range(40))
    chunks = chunker(40, overlap=10).split(document(sentences, Markup.PLAIN))
    assert len(chunks) > 3
    for before, after in itertools.pairwise(chunks):
        assert before.start < after.start < before.end < after.end


def test_one_line_of_a_million_characters_is_cut_in_bounded_time():
    chunks = chunker().split(document("x" * 500_000 + '{"a":1,' * 70_000, Markup.PLAIN))
    assert all(chunk.tokens <= 40 for chunk in chunks)


def test_white_space_gives_no_chunk():
    assert chunker().split(document(" \n\t\n\u00a0\n")) == []


def test_limits_that_leave_no_room_for_text_are_refused():
    with pytest.raises(ConfigurationError, match="leave no room"):
        chunker(tokens=16, overlap=9)
