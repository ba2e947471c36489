import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipelines_persistence.ingestion.blocks import scan
from pipelines_persistence.records import Markup


def headings(text, markup):
    return [(block.level, block.title) for block in scan(text, markup) if block.level]


def test_markdown_headings_of_both_kinds_have_their_level():
    text = "# One\n\n## Two ##\n\ntext\n\nThree\n=====\n\nFour\n---\n\n### Five { #five }\n"
    assert headings(text, Markup.MARKDOWN) == [(1, "One"), (2, "Two"), (1, "Three"), (2, "Four"), (3, "Five")]


def test_a_hash_inside_a_code_fence_is_no_heading():
    text = "```sh\n# comment\n\nls\n```\n\n~~~~\n# also\n```\n~~~~\n"
    assert headings(text, Markup.MARKDOWN) == []
    assert len(scan(text, Markup.MARKDOWN)) == 2


def test_a_fence_that_is_never_closed_runs_to_the_end():
    text = "intro\n\n```\ncode\n\n# no heading"
    assert [text[block.start : block.end] for block in scan(text, Markup.MARKDOWN)] == ["intro", text[7:]]


def test_a_rule_after_a_paragraph_of_two_lines_is_no_heading():
    assert headings("one\ntwo\n---\n", Markup.MARKDOWN) == []


def test_restructured_text_levels_follow_the_first_use_of_each_adornment():
    text = "=====\nTitle\n=====\n\nPart\n----\n\ntext\n\nSub\n~~~\n\nNext\n----\n\n- a list\n"
    assert headings(text, Markup.RESTRUCTURED_TEXT) == [(1, "Title"), (2, "Part"), (3, "Sub"), (2, "Next")]


def test_a_table_of_restructured_text_is_no_heading():
    assert headings("====  ====\nA     B\n====  ====\n1     2\n====  ====\n", Markup.RESTRUCTURED_TEXT) == []


@pytest.mark.parametrize("markup", list(Markup))
@given(text=st.text(alphabet=st.sampled_from("ab#`~=- \n\t\f\u2028é漢"), max_size=200))
def test_between_two_blocks_there_is_only_white_space(markup, text):
    position = 0
    for block in scan(text, markup):
        assert not text[position : block.start].strip()
        assert text[block.start : block.end].strip()
        position = block.end
    assert not text[position:].strip()
