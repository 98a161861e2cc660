from __future__ import annotations

import numpy as np
import pytest

from osler.features.column import Column
from osler.features.completion import Completion

BLOCKS = {"one": np.array([0, 1]), "two": np.array([2, 3]), "landmark": np.array([4])}
MEANING = tuple(Column(f"c{i}", "one" if i < 2 else "two", f"c{i}", "value") for i in range(5))


def _correlated(n: int = 4000, seed: int = 0) -> np.ndarray:
    """Column 2 is 0.8 of column 0 plus noise, 3 is noise; 4 is the landmark."""
    rng = np.random.default_rng(seed)
    X = rng.normal(size=(n, 5))
    X[:, 2] = 0.8 * X[:, 0] + 0.6 * X[:, 2]
    return X


def _fitted(X, there):
    return Completion().fit(
        np.where(there["two"][:, None] | (np.arange(5) != 2), X, 0.0), MEANING, BLOCKS, there, len(X)
    )


def test_an_absent_block_is_what_the_others_lead_to_expect():
    X = _correlated()
    completion = _fitted(X, {"two": np.ones(len(X), dtype=bool)})
    new = _correlated(500, seed=1)
    completed = completion.complete(new, {"two": np.zeros(500, dtype=bool)})
    np.testing.assert_allclose(completed[:, 2], 0.8 * new[:, 0], atol=0.12)
    assert np.abs(completed[:, 3]).max() < 0.15
    np.testing.assert_array_equal(completed[:, [0, 1, 4]], new[:, [0, 1, 4]])


def test_rows_that_lack_nothing_keep_their_bits_and_rows_do_not_depend_on_others():
    X = _correlated()
    completion = _fitted(X, {"two": np.ones(len(X), dtype=bool)})
    new, there = _correlated(60, seed=2), np.arange(60) % 3 > 0
    completed = completion.complete(new, {"two": there})
    np.testing.assert_array_equal(completed[there], new[there])
    alone = completion.complete(new[:1], {"two": there[:1]})
    np.testing.assert_array_equal(alone[0], completed[0])


def test_patients_without_a_block_do_not_bias_its_mean():
    """Absent (as zeros) where column 0 is high: EM recovers the mean that all would have had."""
    X = _correlated()
    X[:, 2] += 0.5
    there = {"two": X[:, 0] < 0.5}
    completion = _fitted(X, there)
    assert completion.mean[2] == pytest.approx(0.5, abs=0.06)
    assert X[there["two"], 2].mean() < 0.3  # what is seen is far lower


def test_blocks_of_noise_predict_nothing_of_each_other():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(40, 5))
    completion = _fitted(X, {"two": np.ones(40, dtype=bool)})
    completed = completion.complete(X, {"two": np.zeros(40, dtype=bool)})
    assert completed[:, 3].std() < 0.35


def test_flags_that_learned_what_absence_means_are_left():
    X = _correlated()
    there = {"two": np.arange(len(X)) % 4 > 0}
    X[:, 3] = np.where(there["two"], -0.3, 1.7)
    meaning = (*MEANING[:3], Column("two.missing", "two", "two", "missing"), MEANING[4])
    completion = Completion().fit(X, meaning, BLOCKS, there, len(X))
    np.testing.assert_array_equal(completion.complete(X, there)[:, 3], X[:, 3])
    assert completion.learned == ("two",)


def test_it_is_stored_whole():
    X = _correlated(300)
    completion = _fitted(X, {"two": np.ones(300, dtype=bool)})
    again = Completion.from_state(completion.state())
    nobody = {"two": np.zeros(300, dtype=bool)}
    np.testing.assert_array_equal(again.complete(X, nobody), completion.complete(X, nobody))
