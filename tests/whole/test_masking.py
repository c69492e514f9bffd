"""Nothing that we print or write contains secrets, wherever they are cut; and only the owner can read our files."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path
from urllib.parse import quote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from agentjobs.cli import main
from agentjobs.disk.logs import read_tail
from agentjobs.model.facts import Result
from agentjobs.text.masking import TEXTS, MaskedStream, Masking
from tests.kit.harness import CHECK, SILENT, Project

KEY = 'sk-fake-0123456789"ü/abc'
"""Written otherwise in JSON and in addresses."""
HALF = 9


def masking(*values: str) -> Masking:
    return Masking((f"KEY_{at}", value) for at, value in enumerate(values))


def test_what_is_secret() -> None:
    found = Masking(
        [
            ("API_KEY", "sk-012345"), ("SHORT_TOKEN", "1234567"), ("DATABASE_URL", "postgres://me:hunter2hunter@db/x"),
            ("http_proxy", "http://proxy:3128"), ("MODE", "production"), ("NO_KEY", ""), ("KEY_FILE", "/run/secrets"),
        ]
    )  # fmt: skip
    told = found.text("sk-012345 1234567 postgres://me:hunter2hunter@db/x http://proxy:3128 production /run/secrets")
    assert told.startswith("***API_KEY*** 1234567 postgres://me:***DATABASE_URL***@db/x http://proxy:3128 production")
    assert not Masking([("MODE", "production"), ("SHORT_KEY", "true")])


def test_every_way_to_write_it() -> None:
    found = masking(KEY)
    for text in (KEY, json.dumps(KEY), json.dumps(KEY, ensure_ascii=False), f"https://h/?k={quote(KEY, safe='')}"):
        assert "0123456789" not in found.text(text)
        assert found.text(text).count("***KEY_0***") == 1
    assert json.loads(found.text(json.dumps({"a": KEY}))) == {"a": "***KEY_0***"}
    key = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0\nQEFAASCBKcwggSjAgEAAoIB\n-----END PRIVATE KEY-----\n"
    pem = Masking([("TLS_KEY", key)])
    assert pem.text(f"a {key} b") == "a ***TLS_KEY*** b"
    assert pem.text("|  QEFAASCBKcwggSjAgEAAoIB  |\r") == "|  ***TLS_KEY***  |\r"
    assert pem.text("-----BEGIN PRIVATE KEY-----") == "-----BEGIN PRIVATE KEY-----", "says nothing"


def test_secrets_that_share_characters_are_masked_whole() -> None:
    found = masking("abcdefgh", "efghijkl", "abcdefghijklmnop", "xxxxxxxx")
    assert found.text("-abcdefghijkl-") == "-***KEY_0***-"
    assert found.text("-abcdefghijklmnop-") == "-***KEY_2***-"
    assert found.text("abcdefghabcdefgh") == "***KEY_0******KEY_0***"
    assert found.text(f"a{'x' * 1000}b") == "a***KEY_3***b"


PARTS = st.lists(st.sampled_from(["aabaabaab", "abaabaaba", "bbbbbbbb", "aab", "b", "c", "\n", "a"]), max_size=12)


@given(PARTS, st.lists(st.integers(0, 60), max_size=8))
@example(["aabaabaab", "abaabaaba"], [1, 2, 3, 4, 5, 6, 7, 8])
def test_pieces_are_masked_as_the_whole_is(parts: list[str], cuts: list[int]) -> None:
    found = masking("aabaabaab", "abaabaaba", "bbbbbbbb", "aabaabaabaabaabaab")
    data = "".join(parts).encode()
    stream, out, at = MaskedStream(found), b"", 0
    for cut in [*sorted(cuts), len(data)]:
        out += stream.feed(data[at:cut])
        at = max(at, min(cut, len(data)))
    out += stream.end()
    assert out == found.mask(data)
    assert not any(secret in out for secret in found.masks)


@given(PARTS, PARTS)
def test_what_holds_no_secret_is_not_touched(before: list[str], after: list[str]) -> None:
    found = masking("zzzzzzzz", "aab-aab-aab")
    data = "".join(before + after).encode()
    stream = MaskedStream(found)
    assert stream.feed("".join(before).encode()) + stream.feed("".join(after).encode()) + stream.end() == data


@given(st.text(), st.text())
def test_any_text_stays_text(before: str, after: str) -> None:
    found = masking(KEY)
    assert found.text(f"{before}{KEY}{after}\ud800") == f"{found.text(before)}***KEY_0***{found.text(after)}\ud800"


@pytest.mark.parametrize("begin", range(0, len(KEY) + 4, 3))
def test_the_end_of_a_log_begins_with_no_half_of_a_secret(tmp_path: Path, begin: int) -> None:
    log = tmp_path / "log"
    log.write_text("x" * 200 + KEY + "y" * 30)
    limit = log.stat().st_size - 200 - begin
    data, size = read_tail(log, masking(KEY), limit)
    assert size == log.stat().st_size
    whole = data.decode().rstrip("y")
    assert whole == ("" if begin else "***KEY_0***")
    assert read_tail(log, None, limit)[0] == log.read_bytes()[-limit:]


def test_only_what_programs_said_is_masked_in_facts() -> None:
    found = masking("greeting")
    fact = {"id": "greeting", "detail": "no greeting", "follow": {"errors": ["a greeting"], "ids": ["greeting"]}}
    assert found.mask_fields(fact) == {
        "id": "greeting", "detail": "no ***KEY_0***", "follow": {"errors": ["a ***KEY_0***"], "ids": ["greeting"]}
    }  # fmt: skip
    assert found.texts({"greeting": "greeting"}) == {"greeting": "***KEY_0***"}
    assert {"detail", "errors", "check"} <= TEXTS & set(Result.__struct_fields__)


# --- the whole program ------------------------------------------------------------------------------------


@pytest.fixture
def leaky(project: Project, monkeypatch: pytest.MonkeyPatch) -> Project:
    """The agent of this project has two keys, one inherited and one from `env`; its check prints all it can."""
    monkeypatch.setenv("FAKE_API_KEY", KEY)
    project.configure(
        agents={"fake": {"inherit": ["FAKE_API_KEY"], "env": {"FAKE_TOKEN": "tok-in-the-policy"}}},
        profiles={"default": {"verify": [f'env; cat "$AGENTJOBS_TASK.txt"; {CHECK}']}},
    )
    return project


def secrets_in(text: str) -> list[str]:
    """Which secrets, or halves of them, are in a text."""
    pieces = {KEY[:HALF], KEY[HALF:], json.dumps(KEY)[1:-1][HALF:], "tok-in-the", "the-policy"}
    return sorted(piece for piece in pieces if piece in text)


def test_nothing_that_is_told_holds_a_secret(leaky: Project) -> None:
    """An agent prints its environment, hands its key on, writes it into its work, and dies with it on its lips."""
    filler = 65536 - len("FAKE_API_KEY=") - HALF  # about where a chunk of the log ends
    leaky.rows(
        {"id": "a", "plan": f"leak:{filler},leak-crash,ok", "after": ""},
        {"id": "b", "plan": "wrong,leak-crash", "after": "a"},
    )
    leaky.configure(retry={"resumes": 1, "repairs": 1, "restarts": 0})
    template = "{{ errors }}{% for one in handoffs %}{{ one.text }}{% endfor %}{{ tried }}\n"
    (leaky.root / "prompt.md.j2").write_text(template)
    assert leaky.settle() == {"a": "DONE", "b": "FAILED"}
    store = leaky.root / ".agentjobs"
    came = leaky.log("a", 1).decode()
    assert KEY in came, "output.log is exactly what came back"
    assert "tok-in-the-policy" in came

    check = leaky.log("a", 1, "verify.log").decode()
    assert "FAKE_API_KEY=" not in check
    assert "FAKE_TOKEN" not in check
    assert f"cannot log in with {KEY}" in check, "the agent wrote it into its work"

    told = {"table": (leaky.root / "tasks.tsv").read_text()}
    for path in store.rglob("*"):
        facts = path.suffix in {".json", ".jsonl", ".tsv"} or path.name == "prompt.md"
        if facts and "trees" not in path.parts and "spare" not in path.parts:
            told[str(path)] = path.read_text()
    commands = [
        "logs a --attempt 1", "logs a --attempt 1 --step agent", "logs a --attempt 2", "logs -f a --attempt 1",
        "logs -f b", "show a", "show a --json", "show b", "status", "status --json --failures", "status --failures",
        "prompt b", "prompt a --attempt 2", "prompt b --attempt 1",
    ]  # fmt: skip
    for command in commands:
        done = leaky.run(*command.split(), code=0)
        told[command] = done.stdout + done.stderr
    assert {where: found for where, text in told.items() if (found := secrets_in(text))} == {}
    for where in ("logs a --attempt 1", "logs -f a --attempt 1", "prompt a --attempt 2", "prompt b"):
        assert "***FAKE_API_KEY***" in told[where], where
    assert "xxx***FAKE_A" in told["show a"], "the line was cut after the secret was taken out of it"
    assert "FAKE_API_KEY=***FAKE_API_KEY***\n" in told["logs a --attempt 1 --step agent"]
    assert "FAKE_TOKEN=***FAKE_TOKEN***\n" in told["logs a --attempt 1 --step agent"]
    assert told["logs a --attempt 1 --step agent"] == came.replace(KEY, "***FAKE_API_KEY***").replace(
        "tok-in-the-policy", "***FAKE_TOKEN***"
    )
    notes = [event.get("detail", "") for event in leaky.events() if event["event"] == "result" and event["id"] == "a"]
    assert "xxx***FAKE_A" in notes[1]


def test_a_log_that_is_followed_shows_no_half_of_a_secret(leaky: Project) -> None:
    leaky.plans(a="halves")
    leaky.dispatch()
    leaky.wait_for(lambda: leaky.attempts("a") and b"key: " in leaky.log("a", 1))
    following = subprocess.Popen(
        [sys.executable, "-m", "agentjobs", "logs", "-f", "a", "--step", "agent"],
        cwd=leaky.root, env=leaky.env, stdout=subprocess.PIPE,
    )  # fmt: skip
    try:
        assert following.stdout is not None
        os.set_blocking(following.stdout.fileno(), False)
        said = b""

        def reads(words: bytes) -> bool:
            nonlocal said
            assert following.stdout is not None
            said += following.stdout.read() or b""
            return words in said

        leaky.wait_for(lambda: reads(b"key: "))
        assert said.endswith(b"key: "), "its first half is held back"
        (leaky.directory / "go").touch()
        leaky.wait_for(lambda: reads(b"key: ***FAKE_API_KEY***."))
        assert leaky.loop().last == 2
        leaky.wait_for(lambda: reads(b"result") and following.poll() is not None)
    finally:
        following.kill()
        following.communicate()
    assert secrets_in(said.decode()) == []


def test_the_excerpt_of_a_red_baseline_and_of_a_gate(leaky: Project) -> None:
    (leaky.root / ".env").write_text(f"the key is {KEY}\n")
    leaky.configure(profiles={"default": {"verify": ['cat "$AGENTJOBS_ROOT/.env"; false'], "baseline": "green"}})
    leaky.plans(a="ok")
    done = leaky.run("check", "--baseline", code=1)
    assert "the key is ***FAKE_API_KEY***" in done.stdout
    assert secrets_in(done.stdout + done.stderr) == []
    leaky.configure(
        profiles={"default": {"verify": ["true"], "baseline": "any"}},
        landing={"gate": ['cat "$AGENTJOBS_ROOT/.env"; grep -q "^ok 2" a.txt'], "wait_s": 0},
        retry={"repairs": 0, "restarts": 0},
    )
    leaky.dispatch("--force")
    assert leaky.loop().last in {2, 3}
    facts = [path for path in (leaky.root / ".agentjobs").rglob("*.json*") if "the key is" in path.read_text()]
    assert any(path.name == "verdict.json" for path in facts)
    assert {path: found for path in facts if (found := secrets_in(path.read_text()))} == {}


def test_a_crash_file_holds_no_secret(
    leaky: Project, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def broken(*args: object, **options: object) -> None:
        raise RuntimeError(f"{KEY} and tok-in-the-policy")

    monkeypatch.setattr(main.cli, "main", broken)
    leaky.plans(a="ok")
    leaky.dispatch()
    leaky.loop()
    monkeypatch.chdir(leaky.root)
    with pytest.raises(SystemExit) as ended:
        main.main(["status"])
    assert ended.value.code == 70
    crash = next((leaky.root / ".agentjobs").glob("crash-*.txt"))
    assert "***FAKE_API_KEY*** and ***FAKE_TOKEN***" in crash.read_text()
    assert "***FAKE_API_KEY***" in capsys.readouterr().err
    assert stat.S_IMODE(crash.stat().st_mode) == 0o600
    assert secrets_in(crash.read_text()) == []


COMMANDS = (("check --baseline", 1), ("dispatch --force", 0), ("run", 2), ("retry a", 0), ("skip a", 0))


@pytest.mark.parametrize("umask", ["000", "077"])
def test_what_we_write_is_for_its_owner_alone(tmp_path: Path, umask: str) -> None:
    project = Project(tmp_path, {"src/x": "x\n"})
    project.configure(
        workspace={"setup": "mkdir -p node_modules; touch node_modules/x", "keep": ["node_modules"], "sparse": ["src"]},
        profiles={"default": {"verify": ["umask", CHECK], "baseline": "green"}},
        landing={"gate": ["true"]},
        limits={"idle_minutes": SILENT},
    )
    with (project.root / ".gitignore").open("a") as file:
        file.write("node_modules\n")
    project.git("commit", "-qam", "ignore")
    project.plans(a="crash,ok", b="wrong,ok", c="limit:in 1 seconds,ok", d="hang,ok")
    program = f"umask {umask}; exec {sys.executable} -m agentjobs"
    for command, code in COMMANDS:
        done = subprocess.run(
            ["sh", "-c", f"{program} {command}"], cwd=project.root, env=project.env, capture_output=True, check=False
        )
        assert done.returncode == code, (command, done)
    assert project.log("a", 2, "verify.log").split()[4:5] == [b"0" + umask.encode()], "checks have the user's"
    store = project.root / ".agentjobs"
    seen, wrong = 0, []
    for directory, names, files in os.walk(store):
        where = Path(directory).relative_to(store)
        # What is in trees is git's and the agents', under the user's umask.
        if where.parts and where.parts[0] in {"trees", "spare"} and len(where.parts) == 1:
            names.clear()
        if not where.parts:
            names.remove("gate")
        for path in [Path(directory), *(Path(directory, name) for name in files)]:
            seen += 1
            mode = stat.S_IMODE(path.stat().st_mode)
            if mode != (0o700 if path.is_dir() else 0o600):
                wrong.append(f"{path.relative_to(store)}: {mode:o}")
    assert wrong == []
    assert seen > 60
    for name in ("agentjobs-placed", "agentjobs-setup"):
        for path in (project.root / ".git" / "worktrees").rglob(name):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
