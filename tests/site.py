"""Build the site and check it: nothing is loaded from the network, and every page and link is there.

``zensical build --strict`` checks the links of the Markdown. It accepts a page of the navigation that does not exist,
and does not look at the HTML that it writes.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urlsplit

ROOT = Path(__file__).resolve().parents[1]
LOADS = {"script": "src", "img": "src", "iframe": "src", "source": "src", "link": "href"}
NEEDS_A_NETWORK = {"mermaid", "glightbox", "arithmatex"}
"""Classes for which the theme's script loads a library from a CDN."""
NOT_LOADED = {"canonical", "alternate", "next", "prev"}
"""Values of ``rel`` in a ``<link>`` that only names another page."""


class Page(HTMLParser):
    """One page: its anchors, the addresses that it links to, and those that it loads."""

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.anchors: set[str] = set()
        self.links: set[str] = set()
        self.loaded: set[str] = set()
        self.classes: set[str] = set()
        self.feed(path.read_text(encoding="utf-8"))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = {name: value for name, value in attrs if value is not None}
        if "id" in found:
            self.anchors.add(found["id"])
        self.classes.update(found.get("class", "").split())
        if tag == "a" and "href" in found:
            self.links.add(found["href"])
        if tag in LOADS and LOADS[tag] in found and found.get("rel") not in NOT_LOADED:
            self.loaded.add(found[LOADS[tag]])


def pages_of(navigation: list[dict[str, object]]) -> list[str]:
    """The files that a ``nav`` of zensical.toml names, in order."""
    found: list[str] = []
    for entry in navigation:
        for target in entry.values():
            found += pages_of(target) if isinstance(target, list) else [str(target)]
    return found


def wrong_navigation(docs: Path, navigation: list[dict[str, object]]) -> list[str]:
    there = {path.name for path in docs.glob("*.md")}
    named = pages_of(navigation)
    missing = [f"zensical.toml: docs/{name} does not exist" for name in named if name not in there]
    return missing + [f"zensical.toml: docs/{name} is not in nav" for name in sorted(there - set(named))]


def wrong_links(site: Path) -> list[str]:
    """What is wrong with the HTML and CSS of a built site, one line for each error."""
    pages = {path: Page(path) for path in sorted(site.rglob("*.html")) if path.name != "404.html"}
    errors = []
    for path, page in pages.items():
        name = path.relative_to(site)
        errors += [f"{name} loads {url}" for url in sorted(page.loaded) if urlsplit(url).netloc]
        errors += [f"{name}: {kind} is loaded from a CDN" for kind in sorted(page.classes & NEEDS_A_NETWORK)]
        for url in sorted(page.links | page.loaded):
            parts = urlsplit(url)
            if parts.scheme or parts.netloc:
                continue
            target = (path.parent / unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_file():
                errors.append(f"{name}: {url} does not exist")
            elif parts.fragment and target in pages and unquote(parts.fragment) not in pages[target].anchors:
                errors.append(f"{name}: {url} has no such anchor")
    for path in sorted(site.rglob("*.css")):
        urls = re.findall(r"url\(\s*[\"']?((?:https?:)?//[^)\"']+)", path.read_text(encoding="utf-8"))
        errors += [f"{path.relative_to(site)} loads {url}" for url in urls]
    return errors


def build(root: Path = ROOT) -> bool:
    """Run Zensical on a copy; print its warnings without colour codes between characters, and without its traceback.

    A copy, because ``--clean`` deletes all of ``.cache``, where the agents and compilers of other tests are too.
    """
    program = Path(sys.executable).with_name("zensical")
    with tempfile.TemporaryDirectory() as scratch:
        shutil.copy(root / "zensical.toml", scratch)
        shutil.copytree(root / "docs", Path(scratch, "docs"))
        done = subprocess.run(
            [program, "build", "--strict", "--clean"],
            cwd=scratch, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
        )  # fmt: skip
        if done.returncode == 0:
            shutil.rmtree(root / "site", ignore_errors=True)
            shutil.copytree(Path(scratch, "site"), root / "site")
    if done.returncode != 0:
        plain = re.sub(r"\x1b\[[0-9;]*m", "", done.stdout)
        print(plain.partition("Traceback (most recent call last)")[0], file=sys.stderr)
    return done.returncode == 0


def main() -> int:
    if not build():
        return 1
    project = tomllib.loads((ROOT / "zensical.toml").read_text(encoding="utf-8"))["project"]
    errors = wrong_navigation(ROOT / project["docs_dir"], project["nav"]) + wrong_links(ROOT / project["site_dir"])
    for error in errors:
        print(error, file=sys.stderr)
    if not errors:
        print(f"{project['site_dir']}/index.html: every link leads somewhere, nothing is loaded from the network")
    return int(bool(errors))


if __name__ == "__main__":
    sys.exit(main())
