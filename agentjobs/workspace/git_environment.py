"""The environment of our own git calls: without the user's hooks, signing, pagers and ``GIT_*``."""

from __future__ import annotations

import os
from functools import cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

NAME, EMAIL = "agentjobs", "agentjobs@localhost"
"""Author and committer of our commits."""

_KEPT = (
    "GIT_EXEC_PATH",
    "GIT_CONFIG_GLOBAL",
    "GIT_CONFIG_SYSTEM",
    "GIT_CONFIG_NOSYSTEM",
    "GIT_CEILING_DIRECTORIES",
)
"""Variables that locate git and its settings. Any other ``GIT_*`` could redirect our call to another repository."""

_SETTINGS = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.autocrlf": "false",  # files leave a tree as they went in
    "core.safecrlf": "false",
    "core.sparseCheckout": "false",  # a tree has all of its commit, even if the user's checkout is sparse
    "core.splitIndex": "false",  # a private index must not leave shared parts behind
    "i18n.commitEncoding": "UTF-8",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "commit.gpgSign": "false",
    "tag.gpgSign": "false",
    "log.showSignature": "false",
    "submodule.recurse": "false",
    "merge.directoryRenames": "false",  # a file lands where it was written
    "advice.detachedHead": "false",
    "advice.addEmbeddedRepo": "false",
}

_OWN = {
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_PAGER": "cat",
    "GIT_EDITOR": ":",
    "GIT_OPTIONAL_LOCKS": "0",
    "GIT_NO_REPLACE_OBJECTS": "1",  # an agent may write refs; an object must be what its name says
    "GIT_AUTHOR_NAME": NAME,
    "GIT_AUTHOR_EMAIL": EMAIL,
    "GIT_COMMITTER_NAME": NAME,
    "GIT_COMMITTER_EMAIL": EMAIL,
    "LC_ALL": "C",
}


def environment(extra: Mapping[str, str] | None = None) -> dict[bytes, bytes]:
    """Return the environment of our own git calls.

    In bytes, as it is passed on: decoding and encoding it again would be half of our own time in a call.
    """
    env = {name: value for name, value in os.environb.items() if not name.startswith(b"GIT_") or name in _kept()}
    env.update(_ours())
    env.update(_encoded(extra or {}))
    return env


@cache
def _kept() -> frozenset[bytes]:
    return frozenset(map(os.fsencode, _KEPT))


@cache
def _ours() -> dict[bytes, bytes]:
    return _encoded(_OWN | settings())


def _encoded(variables: Mapping[str, str]) -> dict[bytes, bytes]:
    return {os.fsencode(name): os.fsencode(value) for name, value in variables.items()}


def with_settings(env: Mapping[str, str], more: Mapping[str, str]) -> dict[str, str]:
    """Return ``env``, the environment of one of our calls, with more git settings that override all others."""
    first = int(env.get("GIT_CONFIG_COUNT", len(_SETTINGS)))
    found = dict(env)
    for number, (key, value) in enumerate(more.items(), first):
        found[f"GIT_CONFIG_KEY_{number}"] = key
        found[f"GIT_CONFIG_VALUE_{number}"] = value
        found["GIT_CONFIG_COUNT"] = str(number + 1)
    return found


def settings(more: Mapping[str, str] | None = None) -> dict[str, str]:
    """Return the variables with our settings of git; ``more`` are settings that differ for one call."""
    env: dict[str, str] = {}
    for number, (key, value) in enumerate((_SETTINGS | dict(more or {})).items()):
        env[f"GIT_CONFIG_KEY_{number}"] = key
        env[f"GIT_CONFIG_VALUE_{number}"] = value
        env["GIT_CONFIG_COUNT"] = str(number + 1)
    return env
