"""Posting: take what is due to its channels, once.

Whoever posts takes a lease, and records each try before it and its outcome after it: what was taken
back by then, such as the calls of a case that was claimed, is not posted. A try without
outcome is a crash: the page may have been posted. A channel that confirms gets it again under the
same key and shows it once; another gets it once more and never again, and the next channel is used
where one is enough.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from silenthit.call_tree.channels import ChannelSettings, Outlet
from silenthit.call_tree.pages import Leased, PageStore, TryOutcome
from silenthit.errors import SilentHitError

LEASE_MS = 60_000  # no post is begun in its second half, so that none outlasts it
FIRST_RETRY_MS = 5_000
LONGEST_RETRY_MS = 600_000
MOST_UNKNOWN = 2  # tries without outcome on a channel that cannot confirm

# What of a page a channel with these settings shows: title and body.
Show = Callable[[Leased, ChannelSettings], tuple[str, str]]


@dataclass(frozen=True, slots=True)
class Posted:
    """One round: how many posts went through and how many have to be tried again."""

    posted: int = 0
    failed: int = 0


def post_due(
    store: PageStore, outlets: Mapping[str, Outlet], clock: Callable[[], int], show: Show
) -> Posted:
    """Post what is due, each page to those of its channels that have not had it."""
    posted = failed = 0
    while (leased := store.lease(now := clock(), now + LEASE_MS)) is not None:
        page = leased.page
        had, spent = _tried(store, leased.page_id, outlets)
        for name in page.channels:
            if name in had | spent or (page.first_is_enough and had):
                continue
            if clock() > now + LEASE_MS // 2:
                break
            if _try(store, leased, name, outlets.get(name), clock=clock, show=show):
                posted, had = posted + 1, had | {name}
            else:
                failed += 1
        enough = bool(had) if page.first_is_enough else False
        if enough or had | spent >= set(page.channels):
            store.done(leased)
        else:
            wait = min(FIRST_RETRY_MS * 2 ** min(leased.tries, 10), LONGEST_RETRY_MS)
            store.again(leased, clock() + wait)
    return Posted(posted, failed)


def _tried(
    store: PageStore, page_id: bytes, outlets: Mapping[str, Outlet]
) -> tuple[set[str], set[str]]:
    """Return the channels that had the page, and those that may have had it often enough."""
    had: set[str] = set()
    unknown: Counter[str] = Counter()
    for name, outcome in store.tries(page_id):
        if outcome is TryOutcome.POSTED:
            had.add(name)
        elif outcome is TryOutcome.TRYING and not _confirms(outlets.get(name)):
            unknown[name] += 1
    return had, {name for name, times in unknown.items() if times >= MOST_UNKNOWN}


def _confirms(outlet: Outlet | None) -> bool:
    return outlet is not None and outlet.settings.confirms


def _try(
    store: PageStore,
    leased: Leased,
    name: str,
    outlet: Outlet | None,
    *,
    clock: Callable[[], int],
    show: Show,
) -> bool:
    """Post to one channel, the try written down before and its outcome after."""
    begun = store.begin(leased, name, clock())
    if begun is None:
        return False
    outcome = _post(leased, outlet, show)
    store.end(begun, outcome)
    return outcome is TryOutcome.POSTED


def _post(leased: Leased, outlet: Outlet | None, show: Show) -> TryOutcome:
    if outlet is None:
        return TryOutcome.NO_CHANNEL
    try:
        outlet.channel.post(*show(leased, outlet.settings), leased.page_id.hex())
    except SilentHitError:
        return TryOutcome.FAILED
    return TryOutcome.POSTED
