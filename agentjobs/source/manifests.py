"""Read the parts of manifests and of tsconfig.json, jsconfig.json and pnpm-workspace.yaml that decide on imports.

Paths are relative to the top of the repository, with ``/``; the top is ``""``. A file that is missing or unreadable is
ignored: its own tools report that.
"""

from __future__ import annotations

import json
import posixpath
import re
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from agentjobs.source.yaml_list import list_under

if TYPE_CHECKING:
    from collections.abc import Callable

_TOKEN = re.compile(r'"(?:[^"\\\n]|\\.)*"|//[^\n]*|/\*.*?(?:\*/|\Z)', re.DOTALL)
_COMMA = re.compile(r'("(?:[^"\\\n]|\\.)*")|,(?=\s*[}\]])', re.DOTALL)

EXTENDS_MAX = 20
"""A longer chain of ``extends`` is probably a cycle."""


class Package(Struct, frozen=True):
    """A package.json: its directory, and its content."""

    directory: str
    manifest: dict[str, Any]

    @property
    def name(self) -> str:
        """Return the package's name, or an empty text."""
        name = self.manifest.get("name")
        return name if isinstance(name, str) else ""


class Config(Struct, frozen=True):
    """Where a tsconfig.json sends bare specifiers."""

    base: str | None = None
    """The directory of ``baseUrl``."""
    paths: tuple[tuple[str, tuple[str, ...]], ...] = ()
    """Patterns with at most one ``*``, best first, with the paths to try for each, from the top of the repository."""


class Manifests:
    """The manifests beneath ``top``, each read once; ``read`` returns the texts of those that are not on the disk."""

    def __init__(self, top: str, read: Callable[[str], str] | None = None) -> None:
        self.top = top
        self._reader = read
        self._packages: dict[str, Package | None] = {}
        self._configs: dict[str, Config] = {}

    def package_at(self, directory: str) -> Package | None:
        """Return the package.json of ``directory`` itself."""
        if directory not in self._packages:
            content = self._object(posixpath.join(directory, "package.json"))
            self._packages[directory] = None if content is None else Package(directory, content)
        return self._packages[directory]

    def package(self, directory: str) -> Package | None:
        """Return the nearest package.json of ``directory`` and those above it."""
        while (found := self.package_at(directory)) is None and directory:
            directory = posixpath.dirname(directory)
        return found

    def config(self, directory: str) -> Config:
        """Return the nearest tsconfig.json, or jsconfig.json if there is none next to it."""
        found = self._configs.get(directory)
        if found is None:
            for name in ("tsconfig.json", "jsconfig.json"):
                path = posixpath.join(directory, name)
                content = self._object(path)
                if content is not None:
                    found = _sorted(self._options(path, content, directory, 0))
                    break
            else:
                found = self.config(posixpath.dirname(directory)) if directory else Config()
            self._configs[directory] = found
        return found

    def workspaces(self, directory: str) -> tuple[str, ...]:
        """Return the globs of member packages that ``directory`` declares, for npm, yarn, bun, pnpm or lerna."""
        package = self.package_at(directory)
        globs: Any = package.manifest.get("workspaces") if package else None
        if isinstance(globs, dict):
            globs = globs.get("packages")
        if not isinstance(globs, list):
            lerna = self._object(posixpath.join(directory, "lerna.json"))
            globs = lerna.get("packages") if lerna else None
        found = [glob for glob in globs if isinstance(glob, str)] if isinstance(globs, list) else []
        return (*found, *list_under("packages", self._read(posixpath.join(directory, "pnpm-workspace.yaml"))))

    def _options(self, path: str, content: dict[str, Any], leaf: str, depth: int) -> Config:
        base: str | None = None
        paths: tuple[tuple[str, tuple[str, ...]], ...] = ()
        here = posixpath.dirname(path)
        extended = content.get("extends")
        for name in [extended] if isinstance(extended, str) else extended if isinstance(extended, list) else []:
            above = self._extended(here, name, leaf, depth)
            base, paths = above.base if above.base is not None else base, above.paths or paths
        options = content.get("compilerOptions")
        if isinstance(options, dict):
            if isinstance(options.get("baseUrl"), str):
                base = _joined(here, options["baseUrl"], leaf)
            if isinstance(options.get("paths"), dict):
                start = here if base is None else base
                paths = tuple(
                    (pattern, tuple(_joined(start, target, leaf) for target in targets if isinstance(target, str)))
                    for pattern, targets in options["paths"].items()
                    if isinstance(targets, list)
                )
        return Config(base, paths)

    def _extended(self, here: str, name: Any, leaf: str, depth: int) -> Config:
        if not isinstance(name, str) or not name.startswith((".", "${configDir}")) or depth >= EXTENDS_MAX:
            return Config()
        path = _joined(here, name, leaf)
        for candidate in (path, f"{path}.json", f"{path}/tsconfig.json"):
            content = self._object(candidate)
            if content is not None:
                return self._options(candidate, content, leaf, depth + 1)
        return Config()

    def _read(self, path: str) -> str:
        if self._reader is not None:
            return self._reader(path)
        try:
            with open(f"{self.top}/{path}", encoding="utf-8-sig", errors="replace") as file:  # noqa: PTH123
                return file.read()
        except (OSError, ValueError):
            return ""

    def _object(self, path: str) -> dict[str, Any] | None:
        content = parse_json(self._read(path))
        return content if isinstance(content, dict) else None


def parse_json(text: str) -> Any:
    """Return the value of JSON that may have comments and trailing commas; None if it is not even that."""
    if not text:
        return None
    try:
        return json.loads(text)
    except RecursionError:
        return None
    except ValueError:
        plain = _TOKEN.sub(lambda match: match[0] if match[0].startswith('"') else " ", text)
        try:
            return json.loads(_COMMA.sub(lambda match: match[1] or "", plain))
        except (ValueError, RecursionError):
            return None


def _sorted(config: Config) -> Config:
    """Sort the patterns in the order they are tried: without a star first, then the longest beginning."""
    return Config(config.base, tuple(sorted(config.paths, key=lambda item: _rank(item[0]))))


def _rank(pattern: str) -> tuple[bool, int]:
    before, star, _ = pattern.partition("*")
    return bool(star), -len(before)


def _joined(here: str, name: str, leaf: str) -> str:
    if name.startswith("${configDir}"):
        here, name = leaf, name.removeprefix("${configDir}").lstrip("/") or "."
    path = posixpath.normpath(posixpath.join(here, name))
    return "" if path == "." else path
