"""The account is in trouble, not the tasks: few starts, nothing is spent, a person is asked, and it all goes on again.

Agents are the real presets with a script in place of the program. Time is moved on in the pauses' file, as if it had
passed.
"""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

from tests.harness import LONG_S

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.harness import Completed, Project

AGENT = """\
cat >/dev/null
: > "$STARTS/$AGENTJOBS_TASK.$AGENTJOBS_ATTEMPT"
if [ -e "$DOWN" ] || [ "$(ls "$STARTS" | wc -l)" -gt "$SERVED" ]; then cat "$SAYS"; exit 1; fi
echo ok >"$AGENTJOBS_TASK.txt"
cat "$GOOD"
"""
"""Works while it is served: up to ``SERVED`` starts, and unless ``DOWN`` is there."""

GOOD = {
    "claude": '{"type":"result","subtype":"success","is_error":false,"usage":{"input_tokens":5,"output_tokens":7}}\n',
    "codex": '{"type":"thread.started","thread_id":"t"}\n'
    '{"type":"turn.completed","usage":{"input_tokens":5,"output_tokens":7}}\n',
    "own": "done\n",
}
ROWS = 40
STRANGE = '{"type":"result","subtype":"success","is_error":true,"result":"Wires crossed, kindly come back"}\n'


class Outage:
    """Forty rows for one agent whose service breaks down."""

    def __init__(self, project: Project, agent: str = "claude", says: str = STRANGE, served: int = 8, **more: Any) -> None:
        self.project = project
        self.starts_dir = project.directory / "starts"
        self.starts_dir.mkdir()
        self.down = project.directory / "down"
        self.says = project.directory / "says"
        self.says.write_text(says)
        (project.directory / "good").write_text(GOOD[agent])
        script = project.directory / "agent.sh"
        script.write_text(AGENT)
        command = ["sh", str(script)]
        own = {} if agent == "own" else {"resume": [*command, "{session}"]}
        self.env = {
            "STARTS": str(self.starts_dir), "DOWN": str(self.down), "SAYS": str(self.says),
            "GOOD": str(project.directory / "good"), "SERVED": str(served),
        }  # fmt: skip
        project.configure(
            {"agents": {agent: {"command": command, "env": self.env, **own}}, "profiles": {"default": {"agent": agent}}},
            slots=more.pop("slots", 1),
            workspace={"kind": "none"},
            limits={"breaker": 5, **more},
        )
        self.agent = agent
        project.rows(*({"id": f"t{number:02}"} for number in range(ROWS)))
        self.passed_s = 0.0

    def starts(self) -> int:
        return len(list(self.starts_dir.iterdir()))

    def serve(self, number: int) -> None:
        """Let so many starts be served in all."""
        self.env["SERVED"] = str(number)
        self.project.configure({"agents": {self.agent: {"env": self.env}}})

    def skip(self) -> None:
        """Let the time pass until the first pause is over."""
        path = self.project.root / ".agentjobs" / "pauses.json"
        pauses = self.project.state("pauses") or {}
        ends = [p["until"] for p in pauses.values() if not p.get("stuck") and p["until"] > time.time()]
        if not ends:
            return
        gone = min(ends) - time.time()
        self.passed_s += gone
        for pause in pauses.values():
            pause["until"] -= gone
            pause["since"] -= gone
        path.write_text(json.dumps(pauses))

    def loop(self, until: Callable[[], object] = lambda: False) -> Completed:
        """Poll until it says something else than "again", with no waiting in pauses."""
        give_up_at = time.monotonic() + LONG_S
        polled = self.project.poll("--wait", "0.5")
        while polled.code == 0 and not until():
            assert time.monotonic() < give_up_at, self.project.story()
            self.skip()
            polled = self.project.poll("--wait", "0.5")
        return polled

    def outcomes(self) -> set[str]:
        return {name for task in self.project.starts_of(self.starts_dir) for name in self.project.outcomes(task)}


CLAUDE_WORDS = [
    "Failed to authenticate: OAuth session expired and could not be refreshed",
    "Credit balance is too low",
    "API Error: Connection refused (ECONNREFUSED)",
    "Wires crossed, kindly come back",
]


def said(words: str) -> str:
    return json.dumps({"type": "result", "subtype": "success", "is_error": True, "result": words}) + "\n"


@pytest.mark.parametrize("slots", [1, 3])
@pytest.mark.parametrize("words", CLAUDE_WORDS)
def test_forty_rows_whose_account_breaks_down_at_the_ninth(project: Project, words: str, slots: int) -> None:
    outage = Outage(project, says=said(words), slots=slots)
    project.dispatch()
    polled = outage.loop()
    assert polled.code == 3, project.story()
    assert outage.starts() <= 8 + (5 if slots == 1 else 7), project.story()
    assert words in polled.stderr
    statuses = project.statuses()
    assert sorted(set(statuses.values()) - {""}) == ["DONE", "TODO"], project.story()
    assert not project.state("halt")
    spent = [n for task in statuses for n in project.outcomes(task) if n not in {"ok", "unreachable", "auth", "crashed"}]
    assert not spent
    # Put right: nothing was lost, and nobody was charged.
    outage.serve(1000)
    project.dispatch()
    assert outage.loop().code == 2, project.story()
    assert set(project.statuses().values()) == {"DONE"}
    assert outage.starts() <= ROWS + (5 if slots == 1 else 7)
