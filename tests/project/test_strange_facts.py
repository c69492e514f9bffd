"""Facts that somebody spoilt, and entries in .agentjobs that are not ours: attempts stay bounded, others go on."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agentjobs.core.decide import VOID_MAX
from agentjobs.model.facts import AgentEnd
from agentjobs.model.outcomes import Outcome
from agentjobs.project.store import Marker, Store

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.kit.harness import Project

AGENT = """\
cat >/dev/null
echo "$AGENTJOBS_TASK" >>"$AGENTJOBS_ROOT/../starts"
facts=$(dirname "$AGENTJOBS_PROMPT")
echo "ok $AGENTJOBS_ATTEMPT" >"$AGENTJOBS_TASK.txt"
eval "$AGENTJOBS_ROW_DO"
"""

SPOILT = {
    "its directory deleted": 'rm -rf "$facts"',
    "its directory emptied": 'rm -rf "$facts"/*',
    "all attempts deleted": 'rm -rf "$facts/.."',
    "all attempts a file": 'rm -rf "$facts/.."; echo x >"$AGENTJOBS_ROOT/.agentjobs/attempts/a"',
    "its directory a file": 'rm -rf "$facts"; echo x >"$facts"',
    "its directory a link to itself": 'rm -rf "$facts"; ln -s "$facts" "$facts"',
    "its directory a link elsewhere": 'mv "$facts" "$facts~"; ln -s "$AGENTJOBS_ROOT" "$facts"',
    "intent garbled": 'echo "{" >"$facts/attempt.json"',
    "intent empty": ': >"$facts/attempt.json"',
    "intent not text": 'head -c 40 /dev/zero >"$facts/attempt.json"',
    "intent of another kind": 'echo "[]" >"$facts/attempt.json"',
    "intent a directory": 'rm "$facts/attempt.json"; mkdir "$facts/attempt.json"',
    "intent a link to itself": 'ln -sf attempt.json "$facts/attempt.json"',
    "a fact to come is a directory": 'mkdir -p "$facts/agent.end.json/x" "$facts/result.json/x"',
    "results deleted": 'rm -f "$facts"/../*/result.json; exit 1',
    "without rights": 'chmod 000 "$facts"',
    "all without rights": 'chmod 000 "$facts/.."',
    "not to be written": 'chmod 500 "$facts" "$facts/.."',
    "deleted, and it runs on": 'rm -rf "$facts"; exec sleep 600',
}


def starts_of(project: Project) -> list[str]:
    return (project.directory / "starts").read_text().split()


@pytest.mark.sample(2)
@pytest.mark.parametrize("spoil", SPOILT)
def test_an_agent_that_spoils_its_facts_is_not_begun_for_ever(project: Project, spoil: str) -> None:
    script = project.directory / "agent.sh"
    script.write_text(AGENT)
    project.configure(
        agents={"fake": {"command": ["sh", str(script)], "rules": []}},
        retry={"resumes": 1, "repairs": 1, "restarts": 0},
    )
    project.rows({"id": "a", "do": SPOILT[spoil]}, {"id": "b", "do": "true"})
    statuses = project.settle()
    assert statuses["b"] == "DONE"
    assert statuses["a"] in {"DONE", "FAILED"}
    assert starts_of(project).count("a") <= VOID_MAX + 3
    assert starts_of(project).count("b") == 1
    if starts_of(project).count("a") == VOID_MAX and spoil != "results deleted":
        assert "deleted or damaged" in project.table()["a"]["note"]


def test_a_new_round_forgets_what_was_spoilt(project: Project) -> None:
    script = project.directory / "agent.sh"
    script.write_text(AGENT)
    project.configure(agents={"fake": {"command": ["sh", str(script)], "rules": []}})
    project.rows({"id": "a", "do": f'test -e "$AGENTJOBS_ROOT/../whole" || {SPOILT["its directory deleted"]}'})
    assert project.settle() == {"a": "FAILED"}
    (project.directory / "whole").touch()
    project.run("retry", "a", code=0)
    assert project.loop().last == 2
    assert project.statuses() == {"a": "DONE"}
    assert len(starts_of(project)) == VOID_MAX + 1


# --- what is not ours


def a_file(path: Path) -> None:
    path.write_bytes(b"\xff\0{")


def an_empty_file(path: Path) -> None:
    path.touch()


def a_directory(path: Path) -> None:
    (path / "within").mkdir(parents=True)


def a_link_to_nothing(path: Path) -> None:
    path.symlink_to("nothing")


def a_link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def a_pipe(path: Path) -> None:
    os.mkfifo(path)


def without_rights(path: Path) -> None:
    path.mkdir(mode=0)


KINDS = (a_file, an_empty_file, a_directory, a_link_to_nothing, a_link_to_itself, a_pipe, without_rights)
PLACES = ("attempts", "attempts/a", "active", "tally", "unspent", "spare", "baseline", "trees")
NAMES = st.one_of(
    st.text(st.characters(categories=["Nd", "No", "Nl"]), min_size=1, max_size=30),
    st.text(st.characters(exclude_characters="/\0", codec="utf-8"), min_size=1, max_size=40),
    st.sampled_from(
        ["0", "1", "01", "000", "1000", "-1", "1~", "a", "a~", "a.1", "settled-1.json", "settled-².json", "own"]
    ),
    st.binary(min_size=1, max_size=9).map(lambda raw: os.fsdecode(raw.translate(None, b"/\0")) or "x"),
).filter(lambda name: name not in {".", ".."} and len(os.fsencode(name)) < 200)


def plant(kind: Callable[[Path], None], path: Path) -> None:
    if not os.path.lexists(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        kind(path)


@given(st.sampled_from(PLACES), NAMES, st.sampled_from(KINDS))
@settings(max_examples=300)
def test_no_entry_keeps_the_store_from_being_read(place: str, name: str, kind: Callable[[Path], None]) -> None:
    with tempfile.TemporaryDirectory() as root:
        store = Store(Path(root))
        store.create()
        store.set_marker("b", Marker(1))
        plant(kind, store.dir / place / name)
        assert "b" in store.active()
        first = store.claim("a")
        assert store.claim("a", first) == first + 1  # it was started
        assert store.numbers("a")[-2:] == [first, first + 1]
        assert store.attempts("a") == []
        assert store.settled("a") == []
        assert store.marker("b") == Marker(1)
        store.set_marker("a", Marker(1))
        assert store.marker("a") == Marker(1)
        store.count("a", "crashed", "x")
        assert ("crashed", "x") in store.tally() or (place == "tally" and name == "a")
        store.count_unspent("a", 1)
        assert store.unspent() >= 1
        store.clear_tally()
        assert store.tally() == ()
        store.set_marker("a", None)
        assert store.marker("a") is None


@pytest.mark.sample(2)
@pytest.mark.parametrize("kind", KINDS)
def test_entries_that_are_not_ours_stop_no_task(project: Project, kind: Callable[[Path], None]) -> None:
    project.plans(a="crash,ok", b="ok")
    project.dispatch()
    names = ["²", "٣", "07", "99999999999999999999", "x y", "\n", os.fsdecode(b"\xff"), "-", "z", "z~", ".git", "9"]
    for place in PLACES:
        for name in names:
            if not (place == "active" and name in {"z", "9"}):  # these may be ids of rows that were removed
                plant(kind, project.root / ".agentjobs" / place / name)
    assert project.loop().last == 2, project.story()
    assert project.statuses() == {"a": "DONE", "b": "DONE"}
    assert not list((project.root / ".agentjobs").glob("crash-*"))


STATES = (
    "scope.json", "pauses.json", "pause.json", "hold.json", "halt.json", "phases.json", "tokens.json", "table.tsv",
    "events.jsonl", "VERSION", "README", ".gitignore", "lock", "attempts", "active", "tally", "unspent", "spare",
    "trees", "baseline", "scope.kept.json", "looks.json", "home.json",
)  # fmt: skip


@pytest.mark.sample(8)
@pytest.mark.parametrize("state", STATES)
@pytest.mark.parametrize("kind", [a_file, a_directory, a_link_to_itself, a_pipe])
def test_a_state_of_another_type_is_put_right_or_is_one_clear_line(
    project: Project, state: str, kind: Callable[[Path], None]
) -> None:
    project.plans(a="ok", b="ok")
    project.dispatch()
    path = project.root / ".agentjobs" / state
    if os.path.lexists(path):
        path.rename(project.directory / "aside")
    kind(path)
    for _ in range(2):
        done = project.poll("--lock-timeout", "1")
        assert done.code in ({0, 1, 2} if state == "lock" else {0, 2}), done
        if done.code == 1:
            assert done.stderr.startswith("agentjobs: ")
            assert done.stderr.count("\n") == 1, done
    assert not list((project.root / ".agentjobs").glob("crash-*"))


def test_a_fact_of_an_attempt_that_is_deleted_meanwhile_is_left_out(project: Project) -> None:
    project.plans(a="ok")
    project.dispatch()
    store = Store(project.root)
    store.write_fact("a", 7, "agent.end.json", AgentEnd(Outcome.OK, 1.0))
    assert not store.attempt_dir("a", 7).exists()


@pytest.mark.sample(1)
@pytest.mark.parametrize("kind", [a_file, a_directory, a_pipe])
def test_what_lies_in_the_place_of_a_halt_does_not_stop_dispatch(
    project: Project, kind: Callable[[Path], None]
) -> None:
    project.plans(a="ok")
    project.dispatch()
    for name in ("halt.json", "pauses.json", "pause.json"):
        kind(project.root / ".agentjobs" / name)
    assert project.settle() == {"a": "DONE"}
