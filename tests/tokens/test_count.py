"""Token counts: offline, and those of tiktoken itself."""

from __future__ import annotations

import hashlib
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.model.errors import UserError
from agentjobs.tokens import count

if TYPE_CHECKING:
    import tiktoken

TIKTOKENS_CACHE_NAME = "fb374d419588a4632f3f557e76b4b70aebbca790"
"""Where tiktoken keeps this file, so that its own loader finds it and needs no network."""


@pytest.fixture(scope="module")
def reference(tmp_path_factory: pytest.TempPathFactory) -> tiktoken.Encoding:
    """Return tiktoken's own o200k_base, read by tiktoken's own loader, which checks the hash."""
    cache = tmp_path_factory.mktemp("tiktoken")
    (cache / TIKTOKENS_CACHE_NAME).write_bytes(count.read_vocabulary())
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TIKTOKEN_CACHE_DIR", str(cache))
        import tiktoken

        return tiktoken.get_encoding("o200k_base")


def test_the_shipped_file_is_the_published_one() -> None:
    plain = count.read_vocabulary()
    assert hashlib.sha256(plain).hexdigest() == count.SHA256
    assert len(plain) == count.PLAIN_BYTES
    assert plain.count(b"\n") == count.RANKS


def test_the_encoding_is_tiktokens(reference: tiktoken.Encoding) -> None:
    assert reference._pat_str == count.PATTERN
    assert reference._special_tokens == count.SPECIAL


def test_counts_of_this_file(reference: tiktoken.Encoding) -> None:
    text = Path(__file__).read_text(encoding="utf-8")
    assert count.count(text) == len(reference.encode_ordinary(text))


@settings(max_examples=150, deadline=None)
@given(text=st.one_of(st.text(), st.text(alphabet=" \n\t\rab1'é漢😀<|>endoftext")))
def test_counts_are_tiktokens(reference: tiktoken.Encoding, text: str) -> None:
    assert count.count(text) == len(reference.encode_ordinary(text))
    assert count.count(text) <= count.upper_bound(text)
    assert count.fits(text, count.count(text))
    assert not text or not count.fits(text, count.count(text) - 1)


def test_special_marks_are_text() -> None:
    assert count.count("<|endoftext|>") > 1


@pytest.mark.parametrize(
    "text", [" " * 1_000_000, "\t \u3000" * 300_000, "\n" * 300_000, "a" * 300_000, "\udcff" * 5]
)
def test_texts_that_upset_a_matcher(text: str) -> None:
    assert 0 < count.count(text) <= count.upper_bound(text)


def test_an_unknown_encoding() -> None:
    with pytest.raises(UserError, match="o200k_base"):
        count.count("x", "p50k_base")


def test_no_network_no_home_no_cache(tmp_path: Path) -> None:
    code = (
        "import socket\n"
        "def no(*_): raise SystemExit('network')\n"
        "socket.socket.connect = no; socket.getaddrinfo = no\n"
        "from agentjobs.tokens.count import count\n"
        "print(count('hello world'))\n"
    )
    env = {
        "PATH": os.environ["PATH"],
        "PYTHONPATH": str(Path(count.__file__).parents[1]),
        "HOME": str(tmp_path),
    }
    done = subprocess.run([sys.executable, "-c", code], env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "2\n"
    assert list(tmp_path.iterdir()) == []
