"""Schedules of faults: what happens to which node, when and for how long, all from one seed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from random import Random

BROKERS = ("broker-1", "broker-2", "broker-3")
WORKERS = ("worker-1", "worker-2")
REDIS = "redis"
NODES = (*BROKERS, *WORKERS, REDIS)
STORM_S = 3.0  # in which faults begin
# Here a worker that says nothing is given up so soon; in production, after ten seconds.
GIVEN_UP_S = 3.0
SHORT, LONG = (0.2, 0.7, 2.0), (0.4, 1.2, 3.6)


@dataclass(frozen=True)
class Kind:
    """One kind of fault."""

    name: str
    nodes: Sequence[tuple[str, ...]]  # those that it befalls together
    seconds: Sequence[float] = SHORT
    alone: bool = False  # only where each node has a box of its own


def _each(*names: str) -> tuple[tuple[str, ...], ...]:
    return tuple((name,) for name in names)


# SIGKILL, SIGSTOP and SIGTERM, then what a network, a disk, a store and a clock do.
KINDS = (
    Kind("kill", _each(*BROKERS)),
    Kind("kill", _each(*WORKERS)),
    Kind("cut", _each(*BROKERS), alone=True),
    Kind("lose the tail", _each(REDIS)),
    Kind("pause", _each(*WORKERS), LONG),
    Kind("fill", _each(*BROKERS), alone=True),
    Kind("pause", _each(*BROKERS), LONG),
    Kind("replay", _each("agencies")),
    Kind("cut", _each(*WORKERS), LONG, alone=True),
    Kind("flush", _each(REDIS)),
    Kind("kill", _each(REDIS)),
    Kind("skew", _each(*WORKERS)),
    Kind("split", ((BROKERS[0], BROKERS[1]), (BROKERS[1], BROKERS[2])), LONG, alone=True),
    Kind("pause", _each(REDIS)),
    Kind("kill", (WORKERS,)),
    Kind("fill", _each(REDIS), alone=True),
    Kind("stop", _each(*BROKERS)),
    Kind("kill", (BROKERS,)),
    Kind("cut", _each(REDIS), alone=True),
    Kind("stop", _each(*WORKERS)),
    Kind("fill", _each(*WORKERS), alone=True),
    Kind("replay", _each("partners")),
    Kind("lose power", _each(*NODES), alone=True),
)


@dataclass(frozen=True)
class Fault:
    """What happens to some nodes, `at` seconds into the storm, and for how long."""

    at: float
    what: str
    nodes: tuple[str, ...]
    seconds: float
    amount: float  # of what there is a more or less of, 0 to 1
    alone: bool = False

    def __str__(self) -> str:
        return f"{self.at:.1f} s {self.what} {'+'.join(self.nodes)} for {self.seconds:g} s"


@dataclass(frozen=True)
class Schedule:
    """The faults of one seed."""

    seed: int
    faults: tuple[Fault, ...]

    @classmethod
    def of(cls, seed: int) -> Schedule:
        """Draw two to four faults. Neighbouring seeds go through all kinds, two a schedule."""
        random = Random(seed)
        kinds = [KINDS[2 * seed % len(KINDS)], KINDS[(2 * seed + 1) % len(KINDS)]]
        kinds += random.choices(KINDS, k=random.choice([0, 1, 1, 2]))
        return cls(seed, tuple(sorted((_drawn(kind, random) for kind in kinds), key=_when)))

    def __str__(self) -> str:
        return "; ".join(map(str, self.faults))


def _drawn(kind: Kind, random: Random) -> Fault:
    return Fault(
        at=round(random.uniform(0.2, STORM_S), 1),
        what=kind.name,
        nodes=random.choice(kind.nodes),
        seconds=random.choice(kind.seconds),
        amount=round(random.random(), 2),
        alone=kind.alone,
    )


def _when(fault: Fault) -> float:
    return fault.at
