r"""The catalogue: what watches are searched by, sealed in large pages.

    >>> entry(bytes(16), ("Blue Heron 1", "50A-NH-1"))
    '00000000000000000000000000000000\tblue heron 1\t50a-nh-1\n'

To look through 100,000 watches takes 200 cells to be decrypted instead of 100,000, and tells who
holds the vault without its key nothing: an index of blinded words would tell which watches share a
name, and how many.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from consumers.vault import CATALOGUE, WATCHES, Rows

ENTRIES_A_PAGE = 500
_ID_DIGITS = 32
_PAGE_BYTES = 4


def entry(watch_id: bytes, texts: Iterable[str]) -> str:
    """Return the line of one watch: id, then what it is found by, in one case."""
    words = (" ".join(text.casefold().split()) for text in texts)
    return "\t".join((watch_id.hex(), *filter(None, words))) + "\n"


def add(into: Rows, entries: Sequence[str]) -> list[int]:
    """Add the lines of new watches; return the page of each."""
    number, held = _last_page(into)
    pages: list[int] = []
    while len(pages) < len(entries):
        if held >= ENTRIES_A_PAGE:
            number, held = number + 1, 0
        batch = entries[len(pages) : len(pages) + ENTRIES_A_PAGE - held]
        _write(into, number, _page(into, number) + "".join(batch))
        pages += [number] * len(batch)
        held += len(batch)
    return pages


def change(into: Rows, number: int, changed: str) -> None:
    """Put another line in the place of this watch's on its page."""
    begin = changed[:_ID_DIGITS]
    lines = _page(into, number).splitlines(keepends=True)
    _write(into, number, "".join(changed if line.startswith(begin) else line for line in lines))


def holding(rows: Rows, text: str) -> Iterator[bytes]:
    """Yield the ids of the watches whose line holds this text in any case, the newest first."""
    return (watch_id for watch_id, _ in _found(rows, " ".join(text.casefold().split())))


def labelled(rows: Rows, label: str) -> list[bytes]:
    """Return the ids of the watches that have this label, in any case."""
    first = " ".join(label.casefold().split())
    return [
        watch_id
        for watch_id, texts in _found(rows, f"\t{first}")
        if texts.split("\t", 1)[0] == first
    ]


def _found(rows: Rows, wanted: str) -> Iterator[tuple[bytes, str]]:
    text = wanted.encode()
    for _, page in rows.cells(CATALOGUE, "private"):
        end = len(page) if text in page else 0  # forwards is many times as fast as backwards
        while (at := page.rfind(text, 0, end)) >= 0:
            begin = page.rfind(b"\n", 0, at) + 1
            if at >= begin + _ID_DIGITS:
                line = page[begin : page.index(b"\n", begin)].decode()
                yield bytes.fromhex(line[:_ID_DIGITS]), line[_ID_DIGITS + 1 :]
            end = begin


def rebuild(into: Rows, entries: Iterable[tuple[bytes, str]]) -> None:
    """Make the catalogue anew from the line of every watch, the oldest first."""
    for row, _ in list(into.cells(CATALOGUE, "private")):
        into.drop(CATALOGUE, row)
    listed = list(entries)
    pages = add(into, [line for _, line in listed])
    for (watch_id, _), page in zip(listed, pages, strict=True):
        into.put(WATCHES, watch_id, {"page": page})


def _last_page(rows: Rows) -> tuple[int, int]:
    """Return number and entries of the newest page; of the first, empty one where there is none."""
    found = rows.find(CATALOGUE, columns=("entries",))
    held = {int.from_bytes(row["id"], "big"): row["entries"] for row in found}
    newest = max(held, default=0)
    return newest, held.get(newest, 0)


def _page(rows: Rows, number: int) -> str:
    row = rows.get(CATALOGUE, number.to_bytes(_PAGE_BYTES, "big"))
    return row["private"].decode() if row else ""


def _write(into: Rows, number: int, lines: str) -> None:
    held = {"entries": lines.count("\n"), "private": lines.encode()}
    into.put(CATALOGUE, number.to_bytes(_PAGE_BYTES, "big"), held)
