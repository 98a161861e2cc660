import os

import numpy as np
import pytest

from osler.engine import available_workers, run_tasks


def _square(x):
    return x * x


def _process(_):
    return os.getpid(), os.environ.get("OMP_NUM_THREADS")


def _writes(array):
    array += 1
    return float(array.sum())


def test_every_task_is_answered_once():
    assert sorted(run_tasks(_square, [(i,) for i in range(7)], workers=1)) == [i * i for i in range(7)]


def test_processes_are_others_with_one_thread_each():
    found = list(run_tasks(_process, [(i,) for i in range(4)], workers=2))
    assert os.getpid() not in {pid for pid, _ in found}
    assert {threads for _, threads in found} == {"1"}


def test_a_worker_may_change_its_own_copy_of_a_large_array():
    array = np.zeros(300_000)
    assert list(run_tasks(_writes, [(array,), (array,)], workers=2)) == [300_000.0, 300_000.0]
    assert array.sum() == 0


def test_an_error_in_a_worker_reaches_the_caller():
    with pytest.raises(TypeError):
        list(run_tasks(_square, [("a",), ("b",)], workers=2))


def test_there_is_a_worker():
    assert available_workers() >= 1
