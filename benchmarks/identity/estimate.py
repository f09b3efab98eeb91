"""What EM estimates from FEBRL, to be held against `silenthit/identity/data/model.json`.

    python -m benchmarks.identity.estimate [febrl4]

Prints JSON like the model's "levels". The true links are not used.
"""

from __future__ import annotations

import json
import sys
from collections import defaultdict

from benchmarks.identity import febrl
from silenthit.identity.estimate import estimate


def main() -> None:
    links = febrl.load((sys.argv[1:] or ["febrl4"])[0])
    watched = [febrl.subject(row) for row in links.watched.values()]
    seen = None if links.one_file else [febrl.subject(row) for row in links.seen.values()]
    found = estimate(watched, seen)
    table: dict[str, dict[str, list[float]]] = defaultdict(dict)
    for field, level in sorted({*found.m, *found.u}):
        at = field, level
        if field != "name":  # only compared where it matters, so its shares are of a chosen few
            pair = found.m.get(at, 0.0), found.u.get(at, 0.0)
            table[field][level] = [float(f"{value:.3g}") for value in pair]
    print(json.dumps(table, indent=2))


if __name__ == "__main__":
    main()
