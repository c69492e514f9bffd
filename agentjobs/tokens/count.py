"""How many tokens a text has: tiktoken on a vocabulary that ships with the package, never the network.

The vocabulary is o200k_base, packed with xz; the SHA-256 of the plain file is ``SHA256``, as tiktoken itself
demands. The home of tiktoken.
"""

from __future__ import annotations

import re
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING

from agentjobs.model.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Sequence

    import tiktoken

ENCODING = "o200k_base"
VOCABULARY = Path(__file__).parent / "data" / "o200k_base.tiktoken.xz"
SHA256 = "446a9538cb6c348e3516120d7c08b09f57c36495e2acfffe59a5bf8b0cfb1a2d"
PLAIN_BYTES = 3_613_922
RANKS = 199_998
LONGEST_BLANK = 4_096
"""Longer runs of white space are counted in pieces: tiktoken's matcher overflows its stack on them."""

SPECIAL = {"<|endoftext|>": 199_999, "<|endofprompt|>": 200_018}
PATTERN = "|".join(  # noqa: FLY002 - one line for each alternative
    (
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
        r"\p{N}{1,3}",
        r" ?[^\s\p{L}\p{N}]+[\r\n/]*",
        r"\s*[\r\n]+",
        r"\s+(?!\S)",
        r"\s+",
    )
)
"""How o200k_base cuts a text before it looks pieces up."""

_BLANK = re.compile(rf"\s{{{LONGEST_BLANK}}}")


def count(text: str, encoding: str = ENCODING) -> int:
    """Return the number of tokens of ``text``; marks such as ``<|endoftext|>`` count as the text they are.

    The first call loads the vocabulary, about half a second. Other models cut differently: for Claude the
    true number is 15 to 20 % above this one, on code more. UserError for an encoding that does not ship.
    """
    return count_by(vocabulary(encoding), text)


def count_by(words: tiktoken.Encoding, text: str) -> int:
    """Return the number of tokens of ``text`` in a vocabulary."""
    return sum(len(words.encode_ordinary(piece)) for piece in _pieces(text))


def count_all(words: tiktoken.Encoding, texts: Sequence[str], threads: int) -> list[int]:
    """Return the number of tokens of each text, ``threads`` of them counted at once: tiktoken lets go of the GIL."""
    if threads < 2 or len(texts) < 2:  # noqa: PLR2004 - nothing to share
        return [count_by(words, text) for text in texts]
    from concurrent.futures import ThreadPoolExecutor  # only where there is much to count

    with ThreadPoolExecutor(threads) as pool:
        return list(pool.map(lambda text: count_by(words, text), texts))


def upper_bound(text: str) -> int:
    """Return a number of tokens that ``text`` cannot exceed, at once and without the vocabulary.

    It is the number of UTF-8 bytes, since no token is shorter than one: four times too many for English.
    """
    return len(text.encode("utf-8", "surrogatepass"))


def fits(text: str, limit: int) -> bool:
    """Return True if ``text`` has at most ``limit`` tokens; counts only if its size does not decide it."""
    return upper_bound(text) <= limit or count(text) <= limit


def read_vocabulary() -> bytes:
    """Return the plain vocabulary file. UserError where the installation is damaged."""
    import lzma  # only where tokens are counted

    try:
        plain = lzma.decompress(VOCABULARY.read_bytes())
    except (OSError, lzma.LZMAError) as error:
        raise UserError(
            f"cannot read the token vocabulary ({error}); install agentjobs again", file=str(VOCABULARY)
        ) from None
    if len(plain) != PLAIN_BYTES:
        raise UserError(
            "the token vocabulary is not the one that shipped; install agentjobs again", file=str(VOCABULARY)
        )
    return plain


def _pieces(text: str) -> list[str]:
    if len(text) < LONGEST_BLANK:
        return [text]
    cuts = [0, *(run.end() for run in _BLANK.finditer(text)), len(text)]
    return [text[start:end] for start, end in pairwise(cuts)]


@cache
def vocabulary(encoding: str = ENCODING) -> tiktoken.Encoding:
    """Return the vocabulary that ships with the package; UserError for any other name."""
    if encoding != ENCODING:
        raise UserError(f"no vocabulary for the encoding {encoding!r} ships with agentjobs; use {ENCODING!r}")
    from binascii import a2b_base64  # all of it only where tokens are counted

    import tiktoken

    ranks: dict[bytes, int] = {}
    for line in read_vocabulary().splitlines():
        token, _, rank = line.partition(b" ")
        ranks[a2b_base64(token)] = int(rank)
    return tiktoken.Encoding(ENCODING, pat_str=PATTERN, mergeable_ranks=ranks, special_tokens=SPECIAL)
