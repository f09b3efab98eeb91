"""What an operator sees of a key holder; nothing in it is secret."""

from __future__ import annotations

from key_holder import log
from key_holder.lifecycle import Lifecycle, signer_public


def status_of(lifecycle: Lifecycle) -> dict[str, object]:
    """Return what `silenthit keyholder status` prints, ready for JSON."""
    document, end = lifecycle.document(), log.head(lifecycle.book)
    kept = lifecycle.book.execute(
        "SELECT epoch, count(*) FROM backups WHERE destroyed_at IS NULL GROUP BY epoch"
    ).fetchall()
    return {
        "name": document.holder,
        "url": lifecycle.config.url,
        "signer": signer_public(lifecycle.signer).hex(),
        "version": document.version,
        "issued_at": document.issued_at.isoformat(),
        "epochs": {str(n): each.state.value for n, each in sorted(document.epochs.items())},
        "backups": {str(epoch): count for epoch, count in kept},
        "log_head": f"{end.number}:{end.hash}",
    }
