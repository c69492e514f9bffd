"""Vocabularies by name: the one that ships, and those that the user's tiktoken has kept. Nothing is fetched."""

from __future__ import annotations

import hashlib
import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Final

from agentjobs.model.errors import UserError
from agentjobs.tokens import count

if TYPE_CHECKING:
    import tiktoken

_O200K: Final = ("fb374d419588a4632f3f557e76b4b70aebbca790", count.SHA256)
_P50K: Final = (
    "ec7223a39ce59f226a68acc30dc1af2788490e15",
    "94b5ca7dff4d00767bc256fdd1b27e5b17361d7b8a5f968547f9f23eb70d2069",
)
KEPT: Final = {
    "cl100k_base": (
        "9b5ad71b2ce5302211f9c61530b329a4922fc6a4",
        "223921b76ee99bde995b7ff738513eef100fb51d18c93597a113bcffe865b2a7",
    ),
    "o200k_harmony": _O200K,
    "p50k_base": _P50K,
    "p50k_edit": _P50K,
    "r50k_base": (
        "0ea1e91bbb3a60f729a8dc8f777fd2fc07cd8df4",
        "306cd27f03c1a714eca7108e03d66b7dc042abe8c258b44c199a7ed9838dd930",
    ),
}
"""Encodings that do not ship: the name of the file in tiktoken's cache, and the SHA-256 that tiktoken demands."""


def vocabulary(encoding: str) -> tiktoken.Encoding:
    """Return a vocabulary; UserError for an unknown name, and for one that is not on this machine."""
    if encoding == count.ENCODING:
        return count.vocabulary()
    if encoding not in KEPT:
        known = ", ".join(sorted({count.ENCODING, *KEPT}))
        raise UserError(f"no encoding {encoding!r}; known: {known}")
    name, sha256 = KEPT[encoding]
    path = _cache() / name
    try:
        found = hashlib.sha256(path.read_bytes()).hexdigest() == sha256
    except OSError:
        found = False
    if not found:
        # tiktoken would fetch it now, and take the place of what is there.
        raise UserError(
            f"{encoding} is not in tiktoken's cache ({path.parent}), and agentjobs fetches nothing: run "
            f"`python -c 'import tiktoken; tiktoken.get_encoding(\"{encoding}\")'` once where there is a network, "
            f"or use {count.ENCODING}, which ships"
        )
    import tiktoken  # only where tokens are counted

    try:
        return tiktoken.get_encoding(encoding)
    except ValueError:
        raise UserError(f"the installed tiktoken ({tiktoken.__version__}) does not know {encoding}") from None


def _cache() -> Path:
    """Return the directory in which tiktoken keeps what it has fetched."""
    named = os.environ.get("TIKTOKEN_CACHE_DIR", os.environ.get("DATA_GYM_CACHE_DIR"))
    return Path(named) if named is not None else Path(tempfile.gettempdir(), "data-gym-cache")
