"""A number that looks random and is the same for the same key. Pure."""

from __future__ import annotations


def jitter(key: str) -> float:
    """Return a number in [0, 1) that depends only on the key, so that a plan can be repeated."""
    from hashlib import blake2b

    return int.from_bytes(blake2b(key.encode(), digest_size=4).digest()) / 2**32
