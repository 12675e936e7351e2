"""From scores to similarities."""

from hypothesis import given
from hypothesis import strategies as st

from toolbox.search.ranking import EXACT_NAME, NEAR_NAME, Scores, similarities

scores = st.builds(
    Scores,
    cosine=st.none() | st.floats(-1, 1),
    text_score=st.floats(0, 1000),
    name_match=st.sampled_from([0, NEAR_NAME, EXACT_NAME]),
)


@given(st.lists(scores, max_size=50))
def test_similarities_lie_in_0_to_1_and_never_rise(ranked: list[Scores]) -> None:
    found = similarities(ranked)
    assert all(0 <= similarity <= 1 for similarity in found)
    assert found == sorted(found, reverse=True)


@given(st.lists(scores, max_size=50))
def test_only_an_exact_name_is_1(ranked: list[Scores]) -> None:
    for similarity, score in zip(similarities(ranked), ranked, strict=True):
        assert similarity < 1 or score.name_match == EXACT_NAME


def test_without_a_vector_words_decide() -> None:
    weak, strong = similarities([Scores(None, 2.0)])[0], similarities([Scores(None, 30.0)])[0]
    assert 0 < weak < strong < 1
