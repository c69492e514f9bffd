"""What tests/site.py finds wrong in a built site."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.site import build, wrong_links, wrong_navigation


def test_links_and_anchors_that_lead_nowhere_are_found(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<h1 id="top">x</h1><a href="#top">ok</a><a href="sub/b.html#here">ok</a><a href="https://example.org">ok</a>'
        '<a href="#gone">no</a><a href="sub/b.html#gone">no</a><a href="c.html">no</a>',
    )
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.html").write_text('<h2 id="here">y</h2><a href="..">ok</a>')
    assert wrong_links(tmp_path) == [
        "index.html: #gone has no such anchor",
        "index.html: c.html does not exist",
        "index.html: sub/b.html#gone has no such anchor",
    ]


def test_what_a_page_loads_from_the_network_is_found(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text(
        '<link rel="canonical" href="https://example.org/"><link rel="stylesheet" href="own.css">'
        '<link rel="stylesheet" href="https://example.org/font.css"><script src="//example.org/a.js"></script>'
        '<pre class="mermaid">graph</pre>',
    )
    (tmp_path / "own.css").write_text("a{src:url(https://example.org/f.woff2)}b{background:url(c.png)}")
    assert wrong_links(tmp_path) == [
        "index.html loads //example.org/a.js",
        "index.html loads https://example.org/font.css",
        "index.html: mermaid is loaded from a CDN",
        "own.css loads https://example.org/f.woff2",
    ]


def test_the_navigation_names_every_page_and_no_other(tmp_path: Path) -> None:
    (tmp_path / "a.md").touch()
    (tmp_path / "b.md").touch()
    assert wrong_navigation(tmp_path, [{"Guide": [{"A": "a.md"}, {"C": "c.md"}]}]) == [
        "zensical.toml: docs/c.md does not exist",
        "zensical.toml: docs/b.md is not in nav",
    ]


ZENSICAL = Path(sys.executable).with_name("zensical")


@pytest.mark.skipif(not ZENSICAL.exists(), reason="zensical is not installed (make site)")
def test_a_build_leaves_the_cache_of_others_alone(tmp_path: Path) -> None:
    (tmp_path / "zensical.toml").write_text('[project]\nsite_name = "x"\nnav = [{ "A" = "index.md" }]\n')
    for name in ("docs/index.md", ".cache/agents/claude"):
        (tmp_path / name).parent.mkdir(parents=True)
        (tmp_path / name).write_text("# A\n")
    assert build(tmp_path)
    assert (tmp_path / "site" / "index.html").exists()
    assert (tmp_path / ".cache" / "agents" / "claude").exists()
