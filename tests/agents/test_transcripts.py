"""A conversation is judged by its own transcript: whatever other ones lie beside it, and whenever its id is known."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from agentjobs.agents.transcripts import SLACK_S, Standing, Whose, find, locate, standing, unwritten
from agentjobs.policy.parse import parse_policy
from agentjobs.policy.presets import preset

if TYPE_CHECKING:
    from agentjobs.policy.agent_output import Transcript
    from tests.kit.harness import Project

AGENT = Path(__file__).parents[1] / "kit" / "agents" / "rollouts.py"
T0 = 1_800_000_000.0


def transcript_of(name: str) -> Transcript:
    policy = parse_policy(f'[profiles.default]\nagent = "{name}"\n'.encode(), preset=preset)
    where = policy.agents[name].transcript
    assert where is not None
    return where


class Disk:
    """A home in which codex or kimi keeps its conversations, on a disk with a different clock."""

    def __init__(self, home: Path, name: str, skew: float, grain: int) -> None:
        self.home, self.name, self.skew, self.grain = home, name, skew, grain
        self.tree = str(home / "tree")
        self.where = transcript_of(name)

    def write(self, session: str, at: float, *, tree: str = "") -> Path:
        cwd = tree or self.tree
        if self.name == "codex":
            path = self.home / f".codex/sessions/2026/11/30/rollout-2026-11-30T10-00-00-{session}.jsonl"
            line = {"type": "session_meta", "payload": {"id": session, "cwd": cwd}}
        else:
            path = self.home / f".kimi-code/sessions/wd_x/{session}/agents/main/wire.jsonl"
            line = {"type": "profile.bind", "environmentDisclosure": {"cwd": cwd}}
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("a") as file:
            file.write(json.dumps(line) + "\n")
        seen = (at + self.skew) // self.grain * self.grain
        os.utime(path, (seen, seen))
        return path

    def whose(self, session: str = "", before: Standing | None = None, since: float = T0) -> Whose:
        env = {"HOME": str(self.home)}
        return Whose(env=env, tree=self.tree, since=since, own="/none", session=session, before=before)


AGES = st.floats(0.0, 3 * SLACK_S)


@settings(max_examples=40, deadline=None)
@given(
    name=st.sampled_from(["codex", "kimi"]),
    skew=st.floats(-SLACK_S / 2, SLACK_S / 2),
    grain=st.sampled_from([1, 2]),
    old=st.lists(AGES, max_size=4),
    elsewhere=st.lists(st.floats(-100.0, 100.0), max_size=2),
    writes=st.lists(st.floats(0.0, 100.0), max_size=3),
)
def test_a_new_conversation_is_never_taken_for_an_old_one(
    name: str, skew: float, grain: int, old: list[float], elsewhere: list[float], writes: list[float]
) -> None:
    """Its id is not known, and nothing is known of the old ones: a review, a person, an attempt with lost facts."""
    with tempfile.TemporaryDirectory() as scratch:
        disk = Disk(Path(scratch), name, skew, grain)
        for number, age in enumerate(old):
            disk.write(f"old{number}", T0 - age)
        before = standing(disk.where, disk.whose(), T0)
        whose = disk.whose(before=before)
        for number, at in enumerate(elsewhere):
            disk.write(f"other{number}", T0 + at, tree="/other/tree")
        assert locate(disk.where, whose) == ""
        assert find(disk.where, whose) is None
        for at in sorted(writes):
            path = disk.write("mine", T0 + at)
            assert locate(disk.where, whose) == str(path)
            found = find(disk.where, whose)
            assert found is not None
            assert found.session == "mine"
        for number in range(len(old)):  # known by its id, an old one is resumed
            known = replace(whose, session=f"old{number}", before=None)
            assert f"old{number}" in locate(disk.where, known) or old[number] > SLACK_S / 2
            assert not unwritten(disk.where, known)
        assert unwritten(disk.where, replace(whose, session="mine")) is not bool(writes)


@pytest.mark.parametrize("name", ["codex", "kimi"])
def test_where_nothing_was_noted_the_ids_of_others_are_left_out(tmp_path: Path, name: str) -> None:
    """An attempt that an older version began: the time must do, without any grace."""
    disk = Disk(tmp_path, name, 0.0, 1)
    disk.write("old", T0 - 1)
    assert locate(disk.where, disk.whose()) == ""
    disk.write("old", T0 + 1)  # by a clock that was put back
    assert "old" in locate(disk.where, disk.whose())
    assert locate(disk.where, replace(disk.whose(), others=frozenset({"old"}))) == ""
    mine = disk.write("mine", T0)
    assert locate(disk.where, replace(disk.whose(), others=frozenset({"old"}))) == str(mine)


@pytest.mark.parametrize("name", ["codex", "kimi"])
def test_of_two_new_conversations_neither_is_guessed(tmp_path: Path, name: str) -> None:
    disk = Disk(tmp_path, name, 0.0, 1)
    whose = disk.whose(before=standing(disk.where, disk.whose(), T0))
    disk.write("one", T0 + 1)
    assert locate(disk.where, replace(whose, alone=False)) == "", "others work there"
    disk.write("two", T0 + 2)
    assert locate(disk.where, whose) == ""
    assert "one" in locate(disk.where, replace(whose, session="one"))
    assert "two" in locate(disk.where, replace(whose, session="two", alone=False))


def test_a_file_of_one_name_is_the_attempts_own_once_it_changes(tmp_path: Path) -> None:
    from agentjobs.policy.agent_output import Transcript

    where = Transcript(files=("{dir}/t.json",))
    whose = Whose(env={}, tree="/", since=T0, own=str(tmp_path), session="s")
    path = tmp_path / "t.json"
    path.write_text("{}")
    os.utime(path, (T0 + 1, T0 + 1))
    noted = replace(whose, before=standing(where, whose, T0))
    assert locate(where, noted) == ""
    os.utime(path, (T0 + 2, T0 + 2))
    assert locate(where, noted) == str(path)


FAILS_FIRST = """\
cat >/dev/null
for id; do :; done
chats="$GEMINI_CLI_HOME/.gemini/tmp/x/chats"
case " $* " in *" --resume "*)
    if ! grep -qs "$id" "$chats"/*; then echo "Error resuming session: Invalid session identifier"; exit 42; fi ;;
esac
if [ "$AGENTJOBS_ATTEMPT" = 1 ]; then
    if [ "$1" = answered ]; then echo '{{"type":"tool_use"}}'; fi
    mkdir -p "$chats"
    case "$1" in unanswered | written) echo '{{"sessionId":"'"$id"'"}}' >"$chats/session-1.jsonl" ;; esac
    if [ "$1" = written ]; then echo '{{"type":"gemini"}}' >>"$chats/session-1.jsonl"; fi
    echo '{{"type":"result","status":"error","error":{{"message":"it broke"}}}}'
    exit 1
fi
echo ok >a.txt
echo '{{"type":"result","status":"success"}}'
"""
"""Stands for Gemini CLI, whose first request fails; braces are doubled as in any command."""


NEVER = {"nothing", "unanswered"}


@pytest.mark.sample(2)
@pytest.mark.parametrize(
    ("case", "outcomes"),
    [
        ("nothing", ["crashed", "ok"]),
        ("unanswered", ["crashed", "ok"]),  # as the real one leaves it where nobody can be reached
        ("written", ["crashed", "ok"]),
        ("answered", ["crashed", "no_session", "ok"]),  # it may be kept where the preset does not look
    ],
)
def test_a_conversation_that_was_never_written_is_not_resumed(project: Project, case: str, outcomes: list[str]) -> None:
    """No attempt is lost to a session that is not there, and the next one gets the whole task."""
    stand_in = ["sh", "-c", FAILS_FIRST, "sh", case]
    project.configure(
        agents={
            "fake": None,
            "gemini": {
                "command": [*stand_in, "--session-id", "{session}"],
                "resume": [*stand_in, "--resume", "{session}"],
                "env": {"GEMINI_CLI_HOME": str(project.directory / "home")},
            },
        },
        profiles={"default": {"agent": "gemini"}},
    )
    project.rows({"id": "a"})
    project.dispatch()
    project.poll_until(lambda: project.statuses()["a"] in {"DONE", "FAILED"})
    assert project.outcomes("a") == outcomes, project.story()
    first, second, *_ = project.attempts("a")
    assert first["agent.end"].get("unwritten", False) is (case in NEVER)
    assert second["attempt"].get("fresh", True) is (case in NEVER)
    assert (second["attempt"]["session"] == first["attempt"]["session"]) is (case not in NEVER)


# --- the whole program ------------------------------------------------------------------------------------


@pytest.mark.parametrize("says", ["late", "early", "never"])
def test_the_conversation_after_a_full_one_is_not_stopped_for_it(project: Project, says: str) -> None:
    env = {"CODEX_HOME": str(project.directory / "codex"), "SAYS_ITS_ID": says}
    project.configure(
        slots=1,
        agents={"fake": None, "codex": {"command": [sys.executable, "-IS", str(AGENT)], "env": env}},
        profiles={"default": {"agent": "codex"}},
    )
    project.rows({"id": "a"})
    project.dispatch()
    project.poll_until(lambda: project.statuses()["a"] in {"DONE", "FAILED"})
    first, second = project.attempts("a")
    assert "agent.kill" not in second, project.story()
    assert project.outcomes("a") == ["context_full", "ok"]
    assert first["agent.end"]["session"]
    assert second["agent.end"]["session"] not in {"", first["agent.end"]["session"]}
    assert second["agent.end"]["session"] in second["agent.watch"]["path"]
    assert second["agent.end"]["tokens"] == 2000
