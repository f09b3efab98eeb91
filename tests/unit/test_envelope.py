"""What is sealed to an asker opens for that asker, in one of few sizes."""

from __future__ import annotations

import pytest

from silenthit.blinding.envelope import BUCKETS, MOST_BYTES, fresh_key, open_sealed, seal_to
from silenthit.errors import InputError, SealError


@pytest.mark.parametrize("size", [0, 1, BUCKETS[0] - 4, BUCKETS[0] - 3, MOST_BYTES])
def test_content_of_any_size_comes_back(size: int) -> None:
    private, public = fresh_key()
    content = bytes(range(256)) * (size // 256 + 1)
    assert open_sealed(private, seal_to(public, content[:size], b"i"), b"i") == content[:size]


def test_sizes_are_those_of_the_buckets_alone() -> None:
    _, public = fresh_key()
    sizes = {len(seal_to(public, bytes(n), b"i")) for n in (0, 5_000, 16_000, 17_000, 60_000)}
    assert len(sizes) == 2
    with pytest.raises(InputError):
        seal_to(public, bytes(MOST_BYTES + 1), b"i")


def test_it_opens_with_no_other_key_for_no_other_inquiry_and_not_changed() -> None:
    private, public = fresh_key()
    sealed = seal_to(public, b"content", b"inquiry 1")
    flipped = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for key, box, info in (
        (fresh_key()[0], sealed, b"inquiry 1"),
        (private, sealed, b"inquiry 2"),
        (private, flipped, b"inquiry 1"),
        (private, sealed[:40], b"inquiry 1"),
        (private, b"", b"inquiry 1"),
    ):
        with pytest.raises(SealError):
            open_sealed(key, box, info)


@pytest.mark.parametrize("key", [b"", b"short", bytes(33)])
def test_a_key_that_is_none_is_refused(key: bytes) -> None:
    with pytest.raises(InputError):
        seal_to(key, b"content", b"i")
