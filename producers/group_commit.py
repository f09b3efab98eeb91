"""Group commit: what arrives while the disk is busy is written together, in the next write.

    results = GroupCommit(write_all)          # write_all: jobs → one result a job, in order
    result = await results.do(job)            # once it is on disk

One write takes an fsync, whether it holds one record or a hundred: a vendor who posts records one
by one, on several connections, is as fast as one who posts them together.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from starlette.concurrency import run_in_threadpool

Job = TypeVar("Job")
Result = TypeVar("Result")


class GroupCommit(Generic[Job, Result]):
    """The queue of one event loop. An error of the work is the error of every job in that group."""

    def __init__(self, work: Callable[[list[Job]], list[Result]]) -> None:
        """`work` runs in a thread, never twice at once."""
        self._work = work
        self._waiting: list[tuple[Job, asyncio.Future[Result]]] = []
        self._turn: asyncio.Task[None] | None = None

    async def do(self, job: Job) -> Result:
        """Wait until the job is done. Raises what the work raised."""
        future: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        self._waiting.append((job, future))
        if self._turn is None:
            self._turn = asyncio.create_task(self._run())
        return await future

    async def _run(self) -> None:
        try:
            while self._waiting:
                group, self._waiting = self._waiting, []
                await self._do([job for job, _ in group], [future for _, future in group])
        finally:
            self._turn = None

    async def _do(self, jobs: list[Job], futures: list[asyncio.Future[Result]]) -> None:
        try:
            results = await run_in_threadpool(self._work, jobs)
        except Exception as error:  # noqa: BLE001 it is for whoever waits
            for future in futures:
                if not future.done():
                    future.set_exception(error)
            return
        for future, result in zip(futures, results, strict=True):
            if not future.done():  # who asked has gone away
                future.set_result(result)
