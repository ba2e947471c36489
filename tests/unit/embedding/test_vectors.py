import numpy as np
import pytest

from pipelines_persistence.adapters.embedding.vectors import normalized, require_within
from pipelines_persistence.errors import EmbeddingError
from pipelines_persistence.ingestion.vectors import verified


def test_lists_of_numbers_become_a_float32_array():
    vectors = verified([[1, 2], [3, 4.5]], 2, 2)

    assert vectors.dtype == np.float32
    assert vectors.tolist() == [[1, 2], [3, 4.5]]


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_vector_that_is_not_finite_is_refused_by_its_row(bad):
    vectors = np.ones((5, 3), np.float32)
    vectors[3, 1] = bad

    with pytest.raises(EmbeddingError, match="row 3 has a component that is not finite"):
        verified(vectors, 5, 3)


def test_a_vector_of_zeros_is_refused_by_its_row():
    vectors = np.ones((5, 3), np.float32)
    vectors[[2, 4]] = 0

    with pytest.raises(EmbeddingError, match=r"row 2 is all zeros \(2 such rows\)"):
        verified(vectors, 5, 3)


@pytest.mark.parametrize(
    "vectors", [np.ones((2, 4)), np.ones((3, 3)), np.ones(3), [[1, 2, 3], [1, 2]], ["a", "b"], None]
)
def test_anything_but_one_row_of_the_dimension_for_each_text_is_refused(vectors):
    with pytest.raises(EmbeddingError):
        verified(vectors, 2, 3)


def test_large_components_are_no_overflow():
    assert verified([[1e30, 1e30]], 1, 2).shape == (1, 2)


def test_normalized_rows_have_length_one_and_their_direction():
    assert np.allclose(normalized(np.array([[3, 4], [0, 2]], np.float32)), [[0.6, 0.8], [0, 1]])


def test_texts_over_the_limit_are_refused_by_position_in_the_whole_list():
    with pytest.raises(
        EmbeddingError, match=r"text 12 has 300 tokens and the model reads 256 \(1 such texts\)"
    ):
        require_within(256, [1, 256, 300], first=10)
