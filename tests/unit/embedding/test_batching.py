from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from pipelines_persistence.adapters.embedding.batching import token_batches

lengths = st.lists(st.integers(0, 256), max_size=300)


@given(lengths)
def test_every_text_stands_in_exactly_one_batch(lengths):
    rows = Counter(row for batch in token_batches(lengths, longest=256) for row in batch.rows)

    assert rows == Counter(range(len(lengths)))


@given(lengths, st.integers(16, 4096))
def test_a_batch_keeps_the_budget_or_holds_one_text(lengths, budget):
    for batch in token_batches(lengths, longest=256, budget=budget):
        assert len(batch.rows) * batch.length <= budget or len(batch.rows) == 1


@given(lengths)
def test_every_text_fits_its_batch_and_fills_half_of_it(lengths):
    for batch in token_batches(lengths, longest=256):
        assert all(lengths[row] <= batch.length for row in batch.rows)
        assert all(max(lengths[row], 1) + 16 > batch.length / 2 for row in batch.rows)


@given(lengths)
def test_the_shapes_are_few_whatever_the_lengths_are(lengths):
    for batch in token_batches(lengths, longest=256):
        rows = len(batch.rows)
        assert batch.length % 16 == 0
        assert rows == 2048 // batch.length or rows.bit_count() == 1


@given(st.lists(st.integers(0, 250), max_size=50))
def test_padding_never_goes_beyond_the_longest_text_a_model_reads(lengths):
    assert all(batch.length <= 250 for batch in token_batches(lengths, longest=250))
