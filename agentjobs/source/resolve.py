"""Find the file of a repository that a specifier leads to, as Node, TypeScript and the bundlers do.

Only the given files exist: what was built or installed does not change the answer. If a package's manifest names a
built file (``dist/index.js``), its source is used (``src/index.ts``).
"""

from __future__ import annotations

import posixpath
import re
from typing import TYPE_CHECKING

from agentjobs.source.manifest_tables import (
    DEPTH_MAX,
    beneath,
    entry_for,
    matched,
    package_name,
    targets,
    workspace_glob,
)
from agentjobs.source.manifests import Manifests, Package

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from agentjobs.source.javascript import Specifier

_SOURCES = {
    ".js": (".ts", ".tsx", ".jsx", ".d.ts"),
    ".jsx": (".tsx", ".d.ts"),
    ".mjs": (".mts", ".d.mts"),
    ".cjs": (".cts", ".d.cts"),
    ".d.ts": (".ts", ".tsx", ".js", ".jsx"),
    ".d.mts": (".mts", ".mjs"),
    ".d.cts": (".cts", ".cjs"),
}
"""What a name with this ending may be compiled from, or declared for."""

_ENDINGS = (
    ".ts", ".tsx", ".js", ".jsx", ".mjs", ".cjs", ".mts", ".cts", ".json", ".d.ts",
    ".d.mts", ".d.cts", ".vue", ".svelte",
)  # fmt: skip
"""Endings to add to a name without one, in the order they are tried."""

_BUILT = frozenset({
    "dist", "lib", "build", "out", "output", "es", "esm", "cjs", "umd", "types", "typings", "module", "commonjs",
})  # fmt: skip
"""Directories that builds write to; their sources are in ``src``, or next to the manifest."""

_QUERY = re.compile(r"[?#].*", re.DOTALL)
_SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.-]+:")


class Resolver:
    """Finds specifiers among ``files`` (relative to ``top``, with ``/``)."""

    def __init__(self, top: str, files: Sequence[str], manifests: Manifests | None = None) -> None:
        self.files = frozenset(files)
        self.manifests = manifests or Manifests(top)
        self._by_path: dict[str, str | None] = {}
        self._by_name: dict[tuple[str, str, bool], str | None] = {}
        self._directories = _directories(files)
        self._members = self._find_members()

    def resolve(self, importer: str, specifier: Specifier) -> str | None:
        """Return the file that ``specifier`` means in the file ``importer``; None if it is not among the files."""
        text = specifier.text
        directory = posixpath.dirname(importer)
        if is_relative(text):
            return self.file(_join(directory, text)) or (
                self.file(_join(directory, plain)) if (plain := _QUERY.sub("", text)) != text and plain else None
            )
        key = (directory, text, specifier.require)
        if key not in self._by_name:
            self._by_name[key] = self._bare(directory, text, specifier.require)
        return self._by_name[key]

    # --- paths --------------------------------------------------------------------------------------------

    def file(self, path: str) -> str | None:
        """Return the file that ``path`` means: itself, with an ending, or that of a directory."""
        if path in self.files:
            return path
        if path not in self._by_path:
            self._by_path[path] = self._file(path) or self._directory(path)
        return self._by_path[path]

    def _file(self, path: str) -> str | None:
        """Return the file ``path``, its source, or ``path`` with an ending."""
        if not path or path.endswith("/"):
            return None
        if path in self.files:
            return path
        stem, ending = _split(path)
        for other in _SOURCES.get(ending, ()):
            if stem + other in self.files:
                return stem + other
        for ending in _ENDINGS:
            if path + ending in self.files:
                return path + ending
        return None

    def _directory(self, path: str) -> str | None:
        path = path.rstrip("/")
        if path not in self._directories:
            return None
        package = self.manifests.package_at(path)
        if package is not None:
            found = self._main(package, require=True)
            if found:
                return found
        return self._file(posixpath.join(path, "index"))

    # --- names --------------------------------------------------------------------------------------------

    def _bare(self, directory: str, text: str, require: bool, depth: int = 0) -> str | None:
        if text.startswith("/") or not text or depth > DEPTH_MAX:
            return None
        found = self._aliased(directory, text)
        if found:
            return found
        package = self.manifests.package(directory)
        if text.startswith("#"):
            return self._imported(package, text, require, depth) if package else None
        if _SCHEME.match(text):
            return None
        name, sub = package_name(text)
        owner = self._owner(package, name)
        return self._in_package(owner, sub, require) if owner else None

    def _aliased(self, directory: str, text: str) -> str | None:
        """Return the result of ``paths`` and ``baseUrl`` of the nearest configuration for a name."""
        config = self.manifests.config(directory)
        for pattern, places in config.paths:
            star = matched(pattern, text)
            if star is not None:
                for target in places:
                    found = self.file(_normal(target.replace("*", star, 1)))
                    if found:
                        return found
                break  # the best pattern decides, as in TypeScript
        if config.base is None:
            return None
        return self.file(_join(config.base, text))

    def _imported(self, package: Package, text: str, require: bool, depth: int) -> str | None:
        """Return the result of ``imports`` in the file's own package for a name that starts with ``#``."""
        for target in targets(entry_for(package.manifest.get("imports"), text), require):
            found = (
                self._built(package.directory, target)
                if is_relative(target)
                else self._bare(package.directory, target, require, depth + 1)
            )
            if found:
                return found
        return None

    def _owner(self, package: Package | None, name: str) -> Package | None:
        """Return the package of this repository that ``name`` means to a file of ``package``."""
        if package is None:
            return self.manifests.package_at(self._members[name]) if name in self._members else None
        if package.name == name:
            return package
        for kind in ("dependencies", "devDependencies", "peerDependencies", "optionalDependencies"):
            versions = package.manifest.get(kind)
            version = versions.get(name) if isinstance(versions, dict) else None
            if not isinstance(version, str):
                continue
            kind_of, _, place = version.partition(":")
            if kind_of in {"file", "link", "portal"} or (kind_of == "workspace" and is_relative(place)):
                return self.manifests.package_at(_join(package.directory, place))
            if kind_of == "workspace" and "@" in place[1:]:  # another name for a member: workspace:name@*
                name = place.rpartition("@")[0]
        return self.manifests.package_at(self._members[name]) if name in self._members else None

    def _in_package(self, package: Package, sub: str, require: bool) -> str | None:
        exports = package.manifest.get("exports")
        if exports is not None:
            keyed = isinstance(exports, dict) and any(key.startswith(".") for key in exports)
            entry = entry_for(exports, "." + sub) if keyed else (exports if not sub else None)
            for target in targets(entry, require):
                found = self._built(package.directory, target)
                if found:
                    return found
        if not sub:
            return self._main(package, require=require) or self.file(posixpath.join(package.directory, "src/index"))
        return self._built(package.directory, "." + sub) or self.file(_join(package.directory, "src" + sub))

    def _main(self, package: Package, *, require: bool) -> str | None:
        fields = ("source", "main", "module") if require else ("source", "module", "main")
        for field in (*fields, "types", "typings"):
            target = package.manifest.get(field)
            if isinstance(target, str):
                found = self._built(package.directory, target)
                if found:
                    return found
        return self._file(posixpath.join(package.directory, "index"))

    def _built(self, directory: str, target: str) -> str | None:
        """Return the file that a manifest in ``directory`` names, or the source it is built from."""
        path = _join(directory, target)
        if path == directory:
            return self._file(posixpath.join(path, "index"))
        found = self._file(path) or self._file(posixpath.join(path, "index"))
        if found:
            return found
        parts = posixpath.normpath(target).split("/")
        while len(parts) > 1 and parts[0] in _BUILT:
            parts = parts[1:]
            for start in ("src", ""):
                found = self._file(posixpath.join(directory, start, *parts))
                if found:
                    return found
        return None

    # --- workspaces ---------------------------------------------------------------------------------------

    def _find_members(self) -> dict[str, str]:
        """Return the directories of the packages that are members of a workspace, by name."""
        members: dict[str, str] = {}
        declared = [(top, globs) for top in sorted(self._directories) if (globs := self.manifests.workspaces(top))]
        for top, globs in declared:
            wanted = [workspace_glob(glob) for glob in globs if not glob.startswith("!")]
            unwanted = [workspace_glob(glob[1:]) for glob in globs if glob.startswith("!")]
            for directory in sorted(self._directories):
                inside = beneath(directory, top)
                if inside is None or "node_modules" in inside.split("/"):
                    continue
                if inside and not any(glob.fullmatch(f"{inside}/") for glob in wanted):
                    continue
                if any(glob.fullmatch(f"{inside}/") for glob in unwanted):
                    continue
                package = self.manifests.package_at(directory)
                if package is not None and package.name:
                    members.setdefault(package.name, directory)
        return members


def is_relative(text: str) -> bool:
    """Return whether a specifier is a path relative to its file."""
    return text.startswith(("./", "../")) or text in (".", "..")


def _directories(files: Iterable[str]) -> frozenset[str]:
    """Return every directory that contains one of ``files``, at any depth."""
    found = {""}
    for path in files:
        directory = posixpath.dirname(path)
        while directory not in found:
            found.add(directory)
            directory = posixpath.dirname(directory)
    return frozenset(found)


def _join(directory: str, name: str) -> str:
    """Return the path that ``name`` means from ``directory``; a slash at its end stays."""
    path = _normal(f"{directory}/{name}" if directory else name)
    return f"{path}/" if name.endswith(("/", "/.", "/..")) or name in (".", "..") else path


def _normal(path: str) -> str:
    path = posixpath.normpath(path)
    return "" if path == "." else path


def _split(path: str) -> tuple[str, str]:
    """Split a path before its ending; ``.d.ts`` is one ending."""
    for ending in (".d.ts", ".d.mts", ".d.cts"):
        if path.endswith(ending):
            return path[: -len(ending)], ending
    return posixpath.splitext(path)
