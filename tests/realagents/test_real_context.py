"""The real CLIs, as far as `make agents` has installed them: a context that fills up is handed on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.kit.harness import Project
from tests.kit.mockmodel import MockModel
from tests.realagents import environment, program

if TYPE_CHECKING:
    from pathlib import Path

PARTIAL = "Done: half of it is in a.txt. Remaining: the other half."
WINDOWS = {"claude": 200_000, "codex": 258_400}


class Model(MockModel):
    """Answers by what it is asked: how far an agent gets before it is stopped is chance."""

    def take(self, path: str, asked: dict[str, Any]) -> dict[str, Any]:
        text = json.dumps(asked)
        if "Write a handoff" in text:
            self._next[""] = 2
        elif PARTIAL in text:
            self._next[""] = max(self._next[""], 3)
        return super().take(path, asked)


@pytest.mark.slow
@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", WINDOWS)
def test_a_real_conversation_leaves_a_handoff(tmp_path: Path, name: str) -> None:
    if not program(name).exists():
        pytest.skip(f"{name} is not installed: make agents")
    full = int(WINDOWS[name] * 0.9)
    script: list[dict[str, Any]] = [
        {"write": {"path": "a.txt", "text": "half\n"}, "usage": [full, 50]},
        {"fault": "hang"},
        {"text": PARTIAL, "usage": [1000, 20]},
        {"write": {"path": "a.txt", "text": "ok\n"}, "usage": [200, 10]},
        {"text": "All of it is done.", "usage": [300, 10]},
    ]
    with Model(script) as model:
        project = Project(tmp_path)
        env = environment(name, tmp_path / "home", model.address)
        env["PATH"] = f"{program(name).parent}:{env['PATH']}"
        project.configure(
            slots=1,
            agents={"fake": None, name: {"env": env}},
            limits={"stop_grace_s": 5, "idle_minutes": 1},
            profiles={"default": {"agent": name, **({"model": "mock"} if name == "codex" else {})}},
        )
        project.rows({"id": "a"})
        assert project.settle(timeout_s=150) == {"a": "DONE"}, project.story() + project.log("a", 1).decode()
        first, second = project.attempts("a")
        assert project.outcomes("a") == ["context_full", "ok"], project.story()
        assert first["agent.kill"]["why"] == "context"
        assert PARTIAL in project.prompt("a", 2)
        handoff = next(request for request in model.requests if "Write a handoff" in request["text"])
        assert handoff["earlier_turns"], "the conversation itself was asked"
        after = model.requests[-1]
        assert "Write a handoff" not in after["text"], "a fresh conversation"
        assert PARTIAL in after["text"]
        assert first["agent.end"]["session"] != second["agent.end"]["session"]
        used = first["agent.end"]["tokens"] + second["agent.end"]["tokens"]
        assert used == sum(model.served())
