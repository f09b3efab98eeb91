"""One history: everything that may happen in any order, from one seed."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from random import Random

from schemas import codec
from schemas.messages import Quarantined
from schemas.topics import ALERTS, QUARANTINE, TOUCHES, WATCHES
from tests.histories.judge import BOUND_MS, Verdict, judge
from tests.histories.log import HandClock, LossyRedis, MemoryLog
from tests.histories.outside import Outside
from tests.histories.workers import PARTNERS, Group, Worker

NEW_YEAR_MS = 1_767_225_600_000  # 2026-01-01T00:00Z
PATIENCE_MS = BOUND_MS - 200
MOST_WORKERS = 3
SLOW = 0.5  # of the workers: they read watches, once loaded, only when they must
DENSE = 0.5  # of histories: much happens within the bound, as when something is cut off
MORE_AT_ONCE = 0.6  # that a worker begins something while something else is under way


@dataclass
class History:
    """The world of one seed. `prepare` may plant a bug into each worker that starts.

    With `overlap` a worker begins batches while others, or something else, are under way, what it
    asks of Kafka and Redis may fail, and it may be slow in reading watches.
    """

    seed: int
    prepare: Callable[[Worker], None] = lambda worker: None
    counts: Counter[str] = field(default_factory=Counter)
    overlap: bool = True

    def __post_init__(self) -> None:
        self.random = random = Random(self.seed)
        self.clock = HandClock(NEW_YEAR_MS - random.randrange(1_000, 40_000))
        self.log, self.group = MemoryLog(self.clock), Group(random.choice([1, 2, 3]))
        # Of several nodes, one may lose its tail.
        self.redis = LossyRedis(random.choice([1, 1, 3]), scripts_write=not self.overlap)
        self.outside = Outside(
            random,
            self.log,
            self.group.partitions,
            records=random.randint(1, 5),
            watches=random.randint(1, 4),
            weights=random.choice([(40, 25, 7, 8, 10, 7, 3), (30, 25, 18, 22, 3, 2, 0)]),
            sealing=PARTNERS[1:],
        )
        # Outside events, work, faults, time: some histories are calm, some are storms.
        self.weights = random.choice([(30, 60, 0, 10), (30, 55, 8, 7), (30, 45, 22, 3)])
        self.unnoticed = random.choice([0.0, 0.3, 0.7])
        self.failing = random.choice([0.0, 0.0, 0.02, 0.05]) if self.overlap else 0.0
        # Drawn apart, so that without overlap nothing is drawn otherwise.
        self._slow = Random(f"{self.seed} slow")
        self.dense = self.overlap and self._slow.random() < DENSE
        self._slow_ones: set[Worker] = set()
        self.workers: list[Worker] = []
        self.zombies: list[Worker] = []
        self._started = 0
        self._waiting_since: int | None = None

    async def run(self) -> Verdict:
        """Let everything happen, settle, and ask the judge."""
        if self.dense:
            for _ in range(2):
                await self._start()
            await self.settle()
        for _ in range(self.random.randint(30, 90)):
            act = self.random.choices(
                [self._outside, self._work, self._fault, self._let_time_pass], self.weights
            )[0]
            await act()
        self.outside.release_all()
        await self.settle()
        return self.verdict()

    def verdict(self) -> Verdict:
        alerts = [m for partner in PARTNERS for m in self.log.of(ALERTS.of(partner))]
        watches = [m for partner in PARTNERS for m in self.log.of(WATCHES.of(partner))]
        found = judge(self.log.all_of(TOUCHES.name), watches, alerts)
        for message in self.log.of(QUARANTINE.name):
            reason = codec.decode(message.value or b"", Quarantined).reason
            if reason != "expired":
                found.forbidden.append(f"quarantined: {reason}")
        return found

    async def _outside(self) -> None:
        passed = self.random.choice([0, 1, 20, 150])
        self.clock.ms += min(passed, 2) if self.dense else passed
        await self._keep_the_bound()
        if self._waiting_since is None:
            self._waiting_since = self.clock.ms
        self.outside.act()
        self.counts["events"] += 1

    async def _let_time_pass(self) -> None:
        if self.dense and self._slow.random() < DENSE:
            return
        await self.settle()
        self.clock.ms += self.random.choice([300, 1_100, 2_500, 6_000])

    async def _keep_the_bound(self) -> None:
        if self._waiting_since is not None and self.clock.ms - self._waiting_since > PATIENCE_MS:
            await self.settle()

    async def _work(self) -> None:
        """Let some worker go on a little."""
        running = self.workers + self.zombies
        if not running:
            return
        worker = self.random.choice(running)
        if not worker.busy or (self.overlap and self.random.random() < MORE_AT_ONCE):
            self._begin(worker)
        for _ in range(self.random.choice([1, 2, 5, 20])):
            if worker.busy:
                await worker.step()

    def _begin(self, worker: Worker) -> None:
        acts: list[Callable[[], None]] = []
        watches = worker.behind_on_watches() and not worker.has_other_task
        if watches and not (worker in self._slow_ones and worker.loaded()):
            most = self.random.choice([1, 3, 100])
            acts.append(lambda: worker.begin_watches(most))
        # Nothing is taken over before the index holds every watch that was there at the start.
        if worker.assigned and worker.loaded() and not (worker.owning or worker.has_other_task):
            acts.append(worker.begin_take_over)
        behind = worker.behind_on_touches() if worker.takes_more_touches else []
        if behind:
            some = self.random.sample(behind, self.random.randint(1, len(behind)))
            most_touches = self.random.choice([1, 3, 6])
            acts.append(lambda: worker.begin_touches(some, most_touches))
        if worker.owning and not worker.has_other_task and self.random.random() < 0.1:
            acts.append(worker.begin_look_after)
        if acts:
            self.random.choice(acts)()
        elif self.random.random() < 0.5:
            worker.commit()

    async def _fault(self) -> None:
        act = self.random.choices(
            [self._start, self._kill, self._rebalance, self._lose_tail], [25, 25, 35, 15]
        )[0]
        await act()

    async def _start(self) -> None:
        if len(self.workers) < MOST_WORKERS:
            self._started += 1
            name = f"w{self._started}"
            parts = self.log, self.redis, self.group, self.clock
            worker = Worker(name, *parts, seed=f"{self.seed} {name}", failing=self.failing)
            self.prepare(worker)
            if self.overlap and self._slow.random() < SLOW:
                self._slow_ones.add(worker)
            self.workers.append(worker)
            self.counts["starts"] += 1
            if self.random.random() < 0.7:
                await self._rebalance()

    async def _kill(self) -> None:
        running = self.workers + self.zombies
        if running:
            worker = self.random.choice([each for each in running if each.busy] or running)
            await worker.kill()
            (self.workers if worker in self.workers else self.zombies).remove(worker)
            self.counts["kills"] += 1

    async def _rebalance(self) -> None:
        """Move the partitions; somebody may not notice for a while that it lost its own."""
        if len(self.workers) > 1 and self.random.random() < self.unnoticed:
            lost = self.random.choice(self.workers)
            self.workers.remove(lost)
            self.zombies.append(lost)
            self.counts["zombies"] += 1
        if not self.workers:
            return
        for worker in self.workers:
            if self.random.random() < 0.8:
                worker.commit()
        self.group.generation += 1
        self.group.owners = {
            partition: self.random.choice(self.workers).name
            for partition in range(self.group.partitions)
        }
        for worker in self.workers:
            own = [p for p, name in self.group.owners.items() if name == worker.name]
            worker.assign(own, self.group.generation)
        self.counts["moves"] += 1

    async def _lose_tail(self) -> None:
        node = self.random.randrange(self.redis.nodes) if self.redis.nodes > 1 else None
        await self.redis.lose(self.random.choice([1, 2, 5, 1_000]), node)
        self.counts["losses"] += 1

    async def settle(self) -> None:
        """Let the exchange be up and catch up: what the bound promises, it keeps here."""
        for worker in self.zombies:
            await worker.finish()
        self.zombies.clear()
        for worker in self.workers:
            await worker.finish()
        if not self.workers:
            await self._start()
        names = {worker.name for worker in self.workers}
        if {self.group.owners.get(each) for each in range(self.group.partitions)} - names:
            await self._rebalance()
        for worker in self.zombies:
            await worker.finish()
        for worker in self.workers:
            worker.to_look_after = True
        while any([await self._catch_up(worker) for worker in self.workers]):
            pass
        self._waiting_since = None

    async def _catch_up(self, worker: Worker) -> bool:
        slow = worker in self._slow_ones and worker.loaded()
        if worker.behind_on_watches() and not slow:
            worker.begin_watches(100)
        elif worker.assigned and not worker.owning:
            worker.begin_take_over()
        elif worker.behind_on_touches():
            await self._begin_touches(worker)
        elif worker.behind_on_watches():
            worker.begin_watches(100)
        elif worker.owning and worker.to_look_after:
            worker.begin_look_after()
        else:
            worker.commit()
            return False
        await worker.finish()
        return True

    async def _begin_touches(self, worker: Worker) -> None:
        """Begin with all that is there, at once or in small batches that are under way together."""
        most = self.random.choice([1, 1, 2, 100]) if self.overlap else 100
        while worker.takes_more_touches and (behind := worker.behind_on_touches()):
            worker.begin_touches(behind, most)
            await asyncio.sleep(0)  # it gets its turn
