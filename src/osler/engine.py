"""Engine: where work runs. Independent tasks go to processes of this machine, one thread each."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any, TypeVar

from joblib import Parallel, delayed
from threadpoolctl import threadpool_limits

__all__ = ["available_workers", "run_tasks"]

Task = TypeVar("Task")
Result = TypeVar("Result")

# Every library that would start threads of its own in a worker: processes are the unit of parallelism here, and
# threads on top of them slow each other down many times over.
_ONE_THREAD = {
    name: "1"
    for name in (
        "OMP_NUM_THREADS",
        "OPENBLAS_NUM_THREADS",
        "MKL_NUM_THREADS",
        "NUMBA_NUM_THREADS",
        "NUMEXPR_NUM_THREADS",
    )
}


def available_workers() -> int:
    """Processor cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def run_tasks(
    function: Callable[..., Result], tasks: Iterable[tuple[Any, ...]], *, workers: int | None = None
) -> Iterator[Result]:
    """Results of ``function(*task)`` in the order in which they finish.

    Args:
        function: a module-level function; with several workers it runs in other processes.
        tasks: argument tuples, the longest-running first for an even load.
        workers: processes; 1 runs everything here, None takes every core.
    """
    listed = list(tasks)
    count = min(workers or available_workers(), len(listed))
    if count <= 1:
        with threadpool_limits(1):
            for task in listed:
                yield function(*task)
        return
    for name, value in _ONE_THREAD.items():
        os.environ.setdefault(name, value)
    # Batches of one, nothing prefetched: a killed study then loses at most what was running.
    pool = Parallel(
        n_jobs=count, backend="loky", return_as="generator_unordered", batch_size=1, pre_dispatch=count, mmap_mode="c"
    )
    yield from pool(delayed(function)(*task) for task in listed)
