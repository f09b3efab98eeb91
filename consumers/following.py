"""Following: from what was seen with a subject, once triage said hit, to whoever carries it next.

    plan = plan_for(rows, alert_row, None)       # what would be watched, and what not and why
    follow(vault, alert_id, None, …)             # the same, placed as watches of their own

Each identifier becomes a watch whose parent is the one it was seen by: it ends with its parent at
the latest, a tree has a ceiling of steps and of watches, and what too many records carry is let go
before an alert of it is opened.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from consumers.associations import Association, FollowPolicy, kind_word
from consumers.leads import Lead, judged, keys_of, seen_with, shown
from consumers.opened_alerts import OpenedAlert, read_opened
from consumers.placing import add_watches
from consumers.vault import ALERTS, Rows, Values, Vault
from consumers.watch_tree import Branch, branch, let_go, root_of, tree, unground
from consumers.watches import Watch
from schemas.messages import Alert, AlertStatus
from schemas.packing import UNCOUNTED
from schemas.parts import Subject
from silenthit.blinding.prf import Prf
from silenthit.errors import InputError, RefusedError
from silenthit.identity.compare import Decision


@dataclass(frozen=True, kw_only=True, slots=True)
class Plan:
    """What following an alert comes to."""

    parent: Branch
    root: Branch
    policy: FollowPolicy
    step: int
    leads: tuple[Lead, ...]
    names: tuple[str, ...]  # labels of the new watches, for what is not refused


def plan_for(rows: Rows, alert: Values, policy: FollowPolicy | None) -> Plan:
    """Say what would be watched. `policy` is the tree's own unless somebody gives another.

    Raises RefusedError for an alert that may not be followed.
    """
    opened = read_opened(alert)
    if opened is None or alert["status"] != AlertStatus.ACTIVE or alert["watch_id"] is None:
        raise RefusedError("expected an alert that stands, got one that was taken back")
    if opened.near_a_place:
        raise RefusedError(
            "expected an alert of a subject, got one of an operation near a place; nobody in it is "
            "the one watched: watch by themselves whom it is about, if there is ground for it"
        )
    parent = branch(rows, alert["watch_id"])
    if not parent.stands or parent.row["approved_at"] is None:
        raise RefusedError(
            "expected an alert of a watch that stands, got another's; see `watch show`"
        )
    if not parent.step and opened.decision is not Decision.HIT:
        raise RefusedError(
            f"expected an alert that triage calls a hit, got one that is {opened.decision}: find "
            "out first that it is the one watched"
        )
    whole = list(tree(rows, root_of(parent)))
    given = policy or _own(parent.watch) or FollowPolicy()
    step = parent.step + 1
    if step > given.steps:
        raise RefusedError(
            f"expected at most {given.steps} steps from the watch that was placed, got the "
            f"{step}th; a supervisor allows more with --steps"
        )
    leads = tuple(judged(seen_with(opened, given), whole, given))
    standing = len(whole) - 1
    names = tuple(
        f"{whole[0].watch.label}, by association ({kind_word(each.identifier.kind)} {number})"
        for number, each in enumerate((e for e in leads if not e.refused), start=standing + 1)
    )
    return Plan(parent=parent, root=whole[0], policy=given, step=step, leads=leads, names=names)


def _own(watch: Watch) -> FollowPolicy | None:
    return watch.follow or (watch.association.policy if watch.association else None)


def follow(
    vault: Vault,
    alert_id: bytes,
    policy: FollowPolicy | None,
    *,
    partner: str,
    epochs: Sequence[int],
    prf: Prf,
    now: datetime,
) -> tuple[Plan, list[bytes]]:
    """Watch what an alert leads to; return the plan and the ids of the new watches, in its order.

    One process at a time, so that a ceiling holds for a squad too. Raises what `plan_for` raises.
    """
    with vault.alone():
        with vault.read() as rows:
            alert = rows.get(ALERTS, alert_id)
            if alert is None:
                raise InputError("expected an alert of this vault, got none; see `alerts list`")
            plan = plan_for(rows, alert, policy)
        watches = list(_children(plan, alert, now))
        ids = add_watches(
            vault,
            watches,
            partner=partner,
            epochs=epochs,
            prf=prf,
            now=now,
            parent_id=plan.parent.row["id"],
            did=("followed", f"from alert {alert_id.hex()[:8]}, step {plan.step}"),
        )
    return plan, ids


def _children(plan: Plan, alert: Values, now: datetime) -> Iterator[Watch]:
    opened = read_opened(alert)
    assert opened is not None
    common, parent = opened.common, plan.parent.watch
    until = min(now + timedelta(days=plan.policy.days), parent.expires_at)
    taken = [each.identifier for each in plan.leads if not each.refused]
    for identifier, label in zip(taken, plan.names, strict=True):
        association = Association(
            root=plan.root.row["id"].hex(),
            alert_id=alert["id"].hex(),
            kind=identifier.kind,
            step=plan.step,
            seen_at=opened.occurred_at,
            record_number=common.record_number if common else "",
            policy=plan.policy,
        )
        fresh = {
            "label": label,
            "subjects": (Subject(identifiers=(identifier,)),),
            "expires_at": until,
            "ends_at": until,
            "reviewed_at": None,
            "association": association,
            "page_from": parent.page_from,
        }
        yield parent.model_copy(update=fresh)


def wants_following(watch: Watch, opened: OpenedAlert) -> bool:
    """Whether the watch's own policy is to follow this alert."""
    if watch.follow is None or opened.verdict is None or opened.verdict.of_place:
        return False
    if watch.association is None:
        return opened.decision is Decision.HIT
    carried = opened.decision is not Decision.DISCARDED
    return carried and watch.association.step < watch.follow.steps


def due(vault: Vault) -> list[bytes]:
    """Return the alerts that wait to be followed by their watches' own policy."""
    with vault.read() as rows:
        return [row["id"] for row in rows.find(ALERTS, _WAITS, columns=("received_at",))]


_WAITS = ALERTS.c.to_follow.is_(True)


def follow_due(
    vault: Vault, *, partner: str, epochs: Sequence[int], prf: Prf, now: datetime
) -> int:
    """Follow what waits; return how many watches were added."""
    added = 0
    for alert_id in due(vault):
        try:
            fixed = {"partner": partner, "epochs": epochs, "prf": prf, "now": now}
            added += len(follow(vault, alert_id, None, **fixed)[1])  # type: ignore[arg-type]
        except RefusedError:
            pass  # it was taken back, or its watch, while it waited
        with vault.write() as into:
            into.change(ALERTS, ALERTS.c.id == alert_id, values={"to_follow": False})
    return added


def too_widely_carried(watch: Watch, alert: Alert) -> str:
    """Return why a followed watch is to be let go when this alert comes, nothing if it may stay.

    What the exchange counted is believed: it can hide a popular phone so, or have one let go, and
    learns of neither.
    """
    association = watch.association
    counted = [each for each in alert.carriers if each != UNCOUNTED]
    if association is None or not counted:
        return ""
    least = 1 << min(max(counted), 62)
    most = 2 * least - 1
    if most <= association.policy.carried_by_most:
        return ""
    return f"{least} to {most} records carry it, where {association.policy.carried_by_most} may"


def let_go_of(into: Rows, watch_id: bytes, why: str, now: datetime) -> None:
    """Follow a watch no more, and remember why."""
    let_go(into, branch(into, watch_id), why, now)


def hold_to(
    into: Rows,
    watch_id: bytes,
    alert_id: bytes,
    opened: OpenedAlert | None,
    now: datetime,
    *,
    purge: bool = False,
) -> None:
    """After an alert changed, let go what it no longer shows; other hits are followed again."""
    still_shown = shown(opened)

    def still(watch: Watch) -> bool:
        return bool(keys_of(i for s in watch.subjects for i in s.identifiers) & still_shown)

    if unground(into, watch_id, alert_id, still, now, purge=purge):
        hits = (
            ALERTS.c.watch_id == watch_id,
            ALERTS.c.id != alert_id,
            ALERTS.c.status == AlertStatus.ACTIVE,
            ALERTS.c.decision == Decision.HIT,
        )
        if branch(into, watch_id).watch.follow is not None:
            into.change(ALERTS, *hits, values={"to_follow": True})
