from __future__ import annotations

import re
from pathlib import Path

import msgspec

from agentjobs.policy.parse import parse_policy
from agentjobs.policy.presets import preset
from agentjobs.policy.reference import KEYS, SECTIONS, line, reference

ROOT = Path(__file__).resolve().parents[2]


def test_every_key_is_documented() -> None:
    text = (ROOT / "docs" / "configuration.md").read_text()
    for key in KEYS:
        assert line(key) in text, f"docs/configuration.md lacks: {line(key)}"
    assert reference() in text, "print the tables again: python -m agentjobs.policy.reference"


def test_the_keys_are_all_keys() -> None:
    places = {
        (place, name)
        for place, kind in SECTIONS
        for name in (i.encode_name for i in msgspec.structs.fields(kind))
    }
    tables = {("", n) for n in ("limits", "retry", "workspace", "profiles", "agents", "landing", "plan")}
    sections = (
        "flags", "session", "rules", "reading", "usage", "transcript", "transcript_usage", "transcript_resets",
        "context", "watch", "prices",
    )  # fmt: skip
    tables |= {("[agents.NAME]", name) for name in sections}
    tables |= {("[profiles.NAME]", "context"), ("[profiles.NAME]", "checks")}
    assert {(key.section, key.name) for key in KEYS} == places - tables
    assert next(key for key in KEYS if key.name == "attempt_minutes").default == "`30`"


def test_the_examples_of_the_documentation_parse() -> None:
    blocks = re.findall(r"```toml\n(.*?)```", (ROOT / "docs" / "configuration.md").read_text(), re.DOTALL)
    assert len(blocks) > 3
    for block in blocks:
        more = "" if "command = " in block else '\n[agents.mine]\ncommand = ["x"]\n'
        parse_policy((block + more).encode(), preset=preset)
