"""Runs scenarios: in this process, or in several, one for each core."""

from __future__ import annotations

import multiprocessing
import os
import signal
import sys
from collections.abc import Generator, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from multiprocessing import util
from typing import Final

from stepwell.integrations.testing.background import background
from stepwell.integrations.testing.scenarios import runs
from stepwell.integrations.testing.scenarios.runs import Job, Outcome, Settings

_FEW: Final = 8  # scenarios that one process runs as soon as another would have started
_AHEAD: Final = 4  # jobs of each process that are handed out before their turn


def cores() -> int:
    """That this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def run(
    jobs: Sequence[Job], settings: Settings, processes: int | None
) -> Generator[Outcome, None, None]:
    """The outcomes in the order of the jobs. Close the iterator to start no more of them.

    processes  at most; None: one for each core, if there are many jobs
    """
    most = processes or (cores() if len(jobs) > _FEW else 1)
    if min(most, len(jobs)) <= 1:
        try:
            for job in jobs:
                yield runs.run(job, settings)
        finally:
            background.close()
        return
    yield from _in_processes(jobs, settings, min(most, len(jobs)))


def _in_processes(
    jobs: Sequence[Job], settings: Settings, processes: int
) -> Generator[Outcome, None, None]:
    # a fork has all modules and files that were read here; elsewhere it is not safe
    method = "fork" if sys.platform == "linux" else "spawn"
    context = multiprocessing.get_context(method)
    pool = ProcessPoolExecutor(processes, context, _begin)
    left, pending = iter(jobs), dict[int, Future[Outcome]]()
    started = ended = 0
    try:
        while ended < len(jobs):
            while started < min(len(jobs), ended + processes * _AHEAD):
                pending[started] = pool.submit(runs.run, next(left), settings)
                started += 1
            yield pending.pop(ended).result()
            ended += 1
    finally:
        pool.shutdown(cancel_futures=True)


def _begin() -> None:
    """In each process: Ctrl-C is for the command, and the processes of functions end with it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    util.Finalize(None, background.close, exitpriority=10)
