"""Wilson's interval and the bootstrap over groups."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import norm

from bball_pl.evaluate.metrics import (
    RESAMPLES,
    Share,
    group_index,
    percentile_interval,
    resampled_counts,
    resampled_sums,
)


def test_the_interval_of_2018() -> None:
    share = Share(258, 300)
    assert share.value == 0.86
    assert [round(end, 3) for end in share.interval] == [0.816, 0.895]


def test_a_share_of_no_photos_is_none() -> None:
    assert Share.of(np.array([True, False, True])) == Share(2, 3)
    assert Share.of(np.zeros(0, bool)) is None


@given(st.integers(1, 400).flatmap(lambda number: st.tuples(st.integers(0, number), st.just(number))))
def test_wilsons_ends_are_the_shares_that_the_score_test_just_allows(counts: tuple[int, int]) -> None:
    right, number = counts
    low, high = Share(right, number).interval
    share = right / number
    assert 0 <= low <= share <= high <= 1
    for end in (low, high):
        assert (share - end) ** 2 == pytest.approx(norm.ppf(0.975) ** 2 * end * (1 - end) / number, abs=1e-9)
    # The equation has the share itself for a solution where all are right or none is.
    assert (low == share) == (right == 0)
    assert (high == share) == (right == number)


def test_photos_are_grouped_by_name_and_stand_alone_without_one() -> None:
    paths, groups = ["a", "b", "c", "d", "e"], ["game", "", "game", "", "b"]
    index = group_index(paths, groups)
    assert index.dtype == np.int64
    assert index[0] == index[2]
    assert sorted(set(index.tolist())) == [0, 1, 2, 3], "group 'b' is not photo 'b'"
    # The draws follow the numbers: another order of the same photos must not change an interval.
    order = [3, 0, 4, 2, 1]
    assert group_index([paths[i] for i in order], [groups[i] for i in order]).tolist() == index[order].tolist()
    with pytest.raises(ValueError, match="zip"):
        group_index(paths, groups[:2])


def test_photos_are_drawn_as_often_as_there_are() -> None:
    cells = np.array([0] * 30 + [1] * 60 + [3] * 10)
    counts = resampled_counts(cells, 4, np.arange(100))
    assert counts.shape == (RESAMPLES, 4)
    assert counts.dtype == np.int64
    assert (counts.sum(1) == 100).all()
    assert (counts[:, 2] == 0).all()
    assert counts.mean(0) == pytest.approx([30, 60, 0, 10], abs=0.5)
    # Drawing photos one by one is a binomial count: its spread is known.
    assert counts[:, 0].std() == pytest.approx(np.sqrt(100 * 0.3 * 0.7), rel=0.06)


def test_groups_are_drawn_whole() -> None:
    # Group 0 has 3 photos in cell 0 and 2 in cell 1; group 1 has 5 in cell 2; group 2 has 1 in cell 3.
    groups = np.array([0] * 5 + [1] * 5 + [2])
    counts = resampled_counts(np.array([0, 0, 0, 1, 1, 2, 2, 2, 2, 2, 3]), 4, groups)
    times = np.stack([counts[:, 0] // 3, counts[:, 2] // 5, counts[:, 3]], axis=1)
    assert (counts[:, 0] == 3 * times[:, 0]).all()
    assert (counts[:, 1] == 2 * times[:, 0]).all()
    assert (counts[:, 2] == 5 * times[:, 1]).all()
    assert (times.sum(1) == 3).all(), "as many groups as there are"
    assert times.mean(0) == pytest.approx([1, 1, 1], abs=0.06)
    assert counts.sum(1).mean() == pytest.approx(11, abs=0.3), "photos only on average"


def test_a_seed_repeats_and_another_does_not() -> None:
    cells, groups = np.arange(20) % 3, np.arange(20)
    assert (resampled_counts(cells, 3, groups) == resampled_counts(cells, 3, groups)).all()
    assert (resampled_counts(cells, 3, groups, seed=1) != resampled_counts(cells, 3, groups, seed=2)).any()


def test_figures_side_by_side_are_drawn_together() -> None:
    generator = np.random.default_rng(0)
    values, groups = generator.normal(size=(50, 2)), generator.integers(0, 20, 50)
    groups[:20] = np.arange(20)
    sums = resampled_sums(np.column_stack([values, values.sum(1), np.ones(50)]), groups)
    assert sums.shape == (RESAMPLES, 4)
    np.testing.assert_allclose(sums[:, 0] + sums[:, 1], sums[:, 2], atol=1e-9)
    counts = resampled_counts(np.zeros(50, np.int64), 1, groups)
    np.testing.assert_array_equal(sums[:, 3], counts[:, 0])


def test_one_group_says_nothing_about_others() -> None:
    groups = group_index(["a", "b", "c"], ["game", "game", "game"])
    counts = resampled_counts(np.array([0, 1, 1]), 2, groups)
    assert counts.shape == (0, 2)
    assert percentile_interval(counts[:, 0] / counts.sum(1)) is None


def test_the_interval_is_wider_when_photos_of_a_group_agree() -> None:
    def width(right: np.ndarray, groups: np.ndarray) -> float:
        counts = resampled_counts(right.astype(np.int64), 2, groups)
        low, high = percentile_interval(counts[:, 1] / counts.sum(1)) or (0, 0)
        return high - low

    games = np.repeat(np.arange(40), 10)
    agreeing = np.repeat(np.arange(40) % 5 > 0, 10)
    mixed = np.tile(np.arange(10) % 5 > 0, 40)
    alone = width(agreeing, np.arange(400))
    assert alone == pytest.approx(2 * 1.96 * np.sqrt(0.8 * 0.2 / 400), rel=0.08)
    # Ten photos that always agree are worth one.
    assert width(agreeing, games) == pytest.approx(alone * np.sqrt(10), rel=0.08)
    assert width(mixed, games) == pytest.approx(0, abs=1e-12), "every game is like every other"


def test_the_middle_95_percent_of_what_exists() -> None:
    low, high = percentile_interval(np.arange(1001.0)) or (0, 0)
    assert (low, high) == (25, 975)
    assert percentile_interval(np.array([np.nan, 1, np.nan, 3])) == pytest.approx([1.05, 2.95])
    assert percentile_interval(np.array([np.nan, np.nan])) is None
    assert percentile_interval(np.array([])) is None
