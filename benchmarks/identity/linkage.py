"""FEBRL through both stages: the blind match rule, then triage."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, fields
from statistics import fmean

from benchmarks.identity import blind, febrl
from schemas.vocabulary import MatchKeyKind
from silenthit.identity.compare import Decision, compare_prepared
from silenthit.identity.match_keys import MatchKey, match_keys
from silenthit.identity.prepare import prepare


@dataclass(frozen=True, kw_only=True, slots=True)
class Scores:
    """One file at one setting. A true pair counts as kept when triage says hit or possible."""

    blind_recall: float
    precision: float
    recall: float
    hit_precision: float  # of those that triage calls hits, not only possible
    hit_recall: float
    keys: float  # match keys a subject, on average


def measure(links: febrl.Links, *, with_ssn: bool) -> Scores:
    """Link two files, or find the duplicates in one, and count against the true pairs."""
    watched = {key: febrl.subject(row, with_ssn=with_ssn) for key, row in links.watched.items()}
    seen = {key: febrl.subject(row, with_ssn=with_ssn) for key, row in links.seen.items()}
    names = list(watched)
    ready = {key: prepare(subject) for key, subject in watched.items()}
    keys = [match_keys(subject) for subject in watched.values()]
    index = blind.index(keys)
    counts: Counter[tuple[bool, Decision]] = Counter()
    for key, subject in seen.items():
        other = prepare(subject)
        for owner in index.candidates(match_keys(subject)):
            if links.one_file and names[owner] >= key:
                continue  # each pair once, none with itself
            found = compare_prepared(ready[names[owner]], other)
            counts[links.is_true(names[owner], key), found.decision] += 1
    return _scores(counts, len(links.true), sum(map(len, keys)) / len(keys))


def _scores(counts: Counter[tuple[bool, Decision]], true: int, keys: float) -> Scores:
    hits, false_hits = counts[True, Decision.HIT], counts[False, Decision.HIT]
    kept = hits + counts[True, Decision.POSSIBLE]
    false_kept = false_hits + counts[False, Decision.POSSIBLE]
    return Scores(
        blind_recall=(kept + counts[True, Decision.DISCARDED]) / true,
        precision=kept / max(1, kept + false_kept),
        recall=kept / true,
        hit_precision=hits / max(1, hits + false_hits),
        hit_recall=hits / true,
        keys=keys,
    )


def mean(scores: Sequence[Scores]) -> Scores:
    """Each figure's mean over several splits."""
    return Scores(
        **{each.name: fmean(getattr(one, each.name) for one in scores) for each in fields(Scores)}
    )


def false_candidates(links: febrl.Links, index: blind.Index) -> float:
    """Synthetic watches, a touch, that satisfy the match rule with a record of the seen file."""
    found = sum(
        len(index.candidates(match_keys(febrl.subject(row)))) for row in links.seen.values()
    )
    return found / len(links.seen)


@dataclass(frozen=True, kw_only=True, slots=True)
class KindScores:
    """One kind of match key alone: true pairs that share it, synthetic watches a touch that do."""

    kind: MatchKeyKind
    recall: float
    only: int  # true pairs that the rule loses without this kind (no SSN)
    false_candidates: float


def by_kind(links: febrl.Links, index: blind.Index) -> list[KindScores]:
    """What each kind of match key finds by itself, and what only it finds."""
    shared_by_pair = [
        set(match_keys(febrl.subject(links.watched[a])))
        & set(match_keys(febrl.subject(links.seen[b])))
        for a, b in links.true
    ]
    strangers: Counter[MatchKeyKind] = Counter()
    for row in links.seen.values():
        for common in index.sharing(match_keys(febrl.subject(row))).values():
            strangers.update({key.kind for key in common})
    scores = []
    for kind in MatchKeyKind:
        have = sum(any(key.kind is kind for key in shared) for shared in shared_by_pair)
        if not have:
            continue
        lost = sum(_only(kind, list(shared)) for shared in shared_by_pair)
        scores.append(
            KindScores(
                kind=kind,
                recall=have / len(links.true),
                only=lost,
                false_candidates=strangers[kind] / len(links.seen),
            )
        )
    return scores


def _only(kind: MatchKeyKind, shared: list[MatchKey]) -> bool:
    """Whether a pair satisfies the rule without SSN, but not without this kind as well."""
    rest = [key for key in shared if key.kind is not MatchKeyKind.SSN]
    without = [key for key in rest if key.kind is not kind]
    if kind is MatchKeyKind.SSN:
        return blind.satisfied(shared) and not blind.satisfied(rest)
    return blind.satisfied(rest) and not blind.satisfied(without)
