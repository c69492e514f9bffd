"""What an agent can leave behind, drawn from independent dimensions: thing × place × action, git, process, end.

Pure: a seed gives the same scenario for ever, whatever it is then run on (``kind``, ``sandbox``). ``agent.py`` does
what a ``Deed`` says. A new thing, place, or line of git is one entry here (and, for a thing, one in the agent).
"""

from __future__ import annotations

import random
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Any

from tests.battery.agent import ODD

if TYPE_CHECKING:
    from collections.abc import Iterator

Leftover = tuple[str, ...]
"""The words of one action: ("put", thing, place), ("chmod", mode, place), ("delete", place), ("git", name, script) …"""

THINGS = (
    "file", "file:empty", "file:garbage", "file:ok", "file:sparse", "mode:000", "mode:4755", "mode:0755", "immutable",
    "dir", "dir:file", "dir:deep", "dir:deeper", "dir:wide", "dir:fifo", "dir:closed", "dir:readonly", "dir:odd",
    "link:file", "link:dir", "link:parent", "link:here", "link:root", "link:etc", "link:nowhere", "link:self",
    "link:project", "link:project-git", "link:victim", "link:victim-git", "link:victim-src", "link:victim-file",
    "link:other-tree", "link:zero", "link:stdin", "link:proc", "link:table",
    "fifo", "fifo", "socket", "device:null", "device:zero", "hard",
)  # fmt: skip

IN_TREE = (
    "file", "tree/src", "top", "dotgit", "tree/README", "tree/new", "tree/src/new", "tree/.gitignore",
    "tree/.gitattributes", "tree/.gitmodules", "tree/src/.gitignore", "tree/src/.gitattributes", "tree/.mailmap",
    "tree/new/.git",
)  # fmt: skip
ADMIN = (
    "HEAD", "index", "gitdir", "commondir", "logs", "locked", "config.worktree", "config", "refs", "info",
    "info/sparse-checkout", "info/exclude", "info/attributes", "ORIG_HEAD", "agentjobs-index", "agentjobs-placed",
    "agentjobs-setup", "index.lock", "HEAD.lock", "sharedindex",
)  # fmt: skip
OURS = (
    "lock", "sparse", "clone", "beside", "handoff", "own", "own/x", "attempt", "attempts", "attempts/²", "attempts/004",
    "attempts/junk",
    *(f"attempt/{name}" for name in (
        "attempt.json", "agent.lock", "agent.json", "agent.exit.json", "agent.exit.json~", "agent.kill.json",
        "agent.end.json", "agent.end.json~", "agent.watch.json", "output.log", "prompt.md", "handoff", "verify.at",
        "verify.log", "verify.lock", "verify.json", "verify.exit.json", "verify.plan.json", "result.json", "approved",
        "agent-2.json",
    )),
)  # fmt: skip
PLACES = (
    IN_TREE,
    tuple(f"tree/src/%{name}" for name in ODD),
    tuple(f"tree/%{name}" for name in ODD),
    tuple(f"admin/{name}" for name in ADMIN),
    tuple(f"ours/{name}" for name in ADMIN),
    ("common/info/exclude", "common/info/attributes", "common/info/grafts", "common/shallow"),
    OURS,
)
SHARES = (6, 2, 1, 3, 1, 1, 3)
"""How often a place is drawn from each of ``PLACES``."""

MODES = ("000", "555", "111", "7777")

COMMIT = "git commit -q --allow-empty -m x"
NESTED = "git init -q nested; git -C nested commit -q --allow-empty -m inner; echo x >nested/x"
GIT = {
    **{f"{name}.lock": f': >"$ADMIN/{name}.lock"' for name in ("index", "HEAD", "ORIG_HEAD")},
    "packed-refs.lock": ': >"$COMMON/packed-refs.lock"',
    "config.lock": ': >"$COMMON/config.lock"',
    "commit": f"git add -A; {COMMIT}",
    "amend": "echo x >extra; git add -A; git commit -q --amend -m other",
    "rm": "git rm -qrf .",
    "reset": "git reset -q --hard; git clean -qfdx",
    "orphan": "git checkout -q --orphan lone-$ID",
    "branch": "git checkout -q -b mine-$ID",
    "target": "git checkout -q agentjobs/landed",
    "main": f"git checkout -q --ignore-other-worktrees main; {COMMIT}",
    "tag": "git tag agentjobs/landed; git tag main",
    "merge": "git checkout -q -b m-$ID; echo 1 >README; git commit -qam 1; git checkout -q --detach HEAD~1; "
             "echo 2 >README; git commit -qam 2; git merge m-$ID || true",
    "rebase": "git checkout -q -b r-$ID; echo 1 >README; git commit -qam 1; git checkout -q --detach HEAD~1; "
              "echo 2 >README; git commit -qam 2; git rebase r-$ID || true",
    "pick": "echo 1 >README; git commit -qam 1; git checkout -q --detach HEAD~1; echo 2 >README; git commit -qam 2; "
            "git cherry-pick HEAD@{2} || true",
    "bisect": f"{COMMIT}; git bisect start HEAD HEAD~1",
    "stash": "echo 1 >>README; git stash -q",
    "sparse": "git sparse-checkout set nothing",
    "sparse-index": "git sparse-checkout set --cone --sparse-index nothing",
    "skip-worktree": "git ls-files -z | git update-index -z --skip-worktree --stdin",
    "assume-unchanged": "git ls-files -z | git update-index -z --assume-unchanged --stdin",
    "intent": "echo x >intended; git add -N intended",
    "split-index": "git update-index --split-index",
    "untracked-cache": "git update-index --force-untracked-cache",
    "index-4": "git update-index --index-version 4",
    "staged": "echo x >staged; git add staged; rm staged",
    "unmerged": 'h=$(git rev-parse HEAD:README); printf "0 %040d\\tREADME\\n100644 $h 1\\tREADME\\n100644 $h 3\\tREADME\\n" 0 '
                '| git update-index --index-info',
    "replace": f"old=$(git rev-parse HEAD); {COMMIT}; git replace -f $old HEAD",
    "replace-tree": "git replace -f HEAD^{tree} $(git mktree </dev/null)",
    "grafts": f'{COMMIT}; git rev-parse HEAD >"$COMMON/info/grafts"',
    "shallow": 'git rev-parse HEAD >"$COMMON/shallow"',
    "alternates": 'echo "$COMMON/objects" >"$COMMON/objects/info/alternates"',
    "alternates-fifo": 'mkfifo "$COMMON/objects/info/alternates"',
    "gc": "git -c gc.reflogExpire=now gc -q --prune=now",
    "prune": "git prune --expire=now",
    "repack": "git repack -qad; git pack-refs --all --prune",
    "expire": "git reflog expire --expire=now --all; git prune --expire=now",
    "refs-gone": "git for-each-ref --format='delete %(refname)' refs/agentjobs | git update-ref --stdin",
    "worktree-prune": "git worktree prune --expire=now",
    "worktree-lock": "git worktree lock .",
    "worktree-move": 'git worktree move . "$PWD-moved"',
    "worktree-remove": "git worktree remove -f -f .",
    "worktree-inside": "git worktree add -q --detach inside HEAD",
    "worktree-beside": 'git worktree add -q --detach "$PWD.beside" HEAD',
    "nested": NESTED,
    "nested-src": "git init -q src; git -C src add -A; git -C src commit -q -m inner",
    "nested-bare": "git init -q --bare bare.git",
    "nested-added": f"{NESTED}; git add nested",
    "nested-committed": f"{NESTED}; git add nested; git commit -q -m nested",
    "nested-empty": "git init -q nested",
    "submodule": f"{NESTED}; git submodule add -q ./nested nested",
    "submodule-committed": f"{NESTED}; git submodule add -q ./nested nested; git commit -q -m sub",
    "submodule-victim": 'git -c protocol.file.allow=always submodule add -q "$VICTIM" sub; git commit -qm sub; '
                        'echo x >>sub/precious.txt; git -C sub commit -qam lost',
    "gitlink": "mkdir src/sub; git update-index --add --cacheinfo 160000,1234567890123456789012345678901234567890,src/sub",
    "gitlink-file": "git update-index --cacheinfo 160000,1234567890123456789012345678901234567890,src/$ID.txt",
    "dotgit-loop": 'mkdir loop; echo "gitdir: ../loop" >loop/.git',
    "dotgit-victim": 'mkdir loop; echo "gitdir: $VICTIM/.git" >loop/.git',
    "modules": 'printf "[submodule \\"../../x\\"]\\n\\tpath = src\\n\\turl = -u./x\\n" >.gitmodules; git add .gitmodules',
    "exclude": 'mkdir -p "$COMMON/info"; echo "*" >"$COMMON/info/exclude"',
    "ignore": 'echo "*" >.gitignore',
    "filter": 'git config filter.bad.clean false; git config filter.bad.required true; echo "* filter=bad" >.gitattributes',
    "filter-hang": 'git config filter.slow.clean "sleep 100"; git config filter.slow.smudge "sleep 100"; '
                   'echo "* filter=slow" >.gitattributes',
    "filter-process": 'git config filter.proc.process "sleep 100"; echo "* filter=proc" >.gitattributes',
    "merge-driver": 'git config merge.slow.driver "sleep 100"; echo "* merge=slow" >.gitattributes',
    "diff-driver": 'git config diff.slow.textconv "sleep 100"; git config diff.slow.command "sleep 100"; '
                   'echo "* diff=slow" >.gitattributes',
    "hooks": 'mkdir -p hooks; for h in pre-commit post-checkout reference-transaction post-index-change; do '
             'printf "#!/bin/sh\\nexit 1\\n" >hooks/$h; chmod +x hooks/$h; done; git config core.hooksPath "$PWD/hooks"; '
             'cp hooks/* "$COMMON/hooks/" || true',
    **{f"attributes:{words}": f'echo "* {words}" >.gitattributes' for words in (
        "text eol=crlf", "ident", "working-tree-encoding=UTF-16", "working-tree-encoding=none", "export-subst",
        "binary", "merge=union", "merge=binary", "-diff",
    )},
    **{f"info-attributes:{words}": f'mkdir -p "$COMMON/info"; echo "* {words}" >"$COMMON/info/attributes"' for words in (
        "text eol=crlf", "ident", "working-tree-encoding=UTF-16", "merge=binary",
    )},
    **{f"config:{words}": f"git config {words}" for words in (
        "core.bare true", "core.worktree /nowhere", "core.fsmonitor true", "core.ignoreCase true", "core.symlinks false",
        "core.fileMode false", "core.autocrlf true", "core.excludesFile /dev/zero", "core.attributesFile /nowhere",
        "core.sparseCheckout true", "core.splitIndex true", "core.untrackedCache true", "core.quotePath false",
        "core.checkStat minimal", "core.trustctime false", "core.sharedRepository 0777", "core.logAllRefUpdates false",
        "core.protectNTFS true", "core.eol crlf", "core.safecrlf true", "core.bigFileThreshold 1", "core.abbrev 4",
        "core.gitProxy x", "core.alternateRefsCommand 'sleep 100'", "core.pager 'sleep 100'", "core.editor 'sleep 100'",
        "core.fsyncMethod batch", "core.compression 9", "core.packedRefsTimeout -1", "core.filesRefLockTimeout -1",
        "core.warnAmbiguousRefs true", "core.precomposeUnicode true", "core.preferSymlinkRefs true",
        "core.multiPackIndex true", "core.commitGraph true", "status.showUntrackedFiles no", "diff.ignoreSubmodules all",
        "diff.external 'sleep 100'", "diff.renames false", "diff.noprefix true", "diff.orderFile /nowhere",
        "diff.algorithm patience", "merge.renames false", "merge.conflictStyle diff3", "merge.default slow",
        "index.version 4", "index.sparse true", "feature.manyFiles true", "feature.experimental true", "gc.auto 1",
        "commit.gpgSign true", "user.useConfigOnly true", "i18n.commitEncoding UTF-16", "log.showSignature true",
        "log.mailmap true", "log.follow true", "color.ui always", "column.ui always", "core.commentChar x",
        "submodule.recurse true", "fetch.recurseSubmodules true", "push.recurseSubmodules check", "include.path /nowhere",
        "include.path /dev/zero", "extensions.worktreeConfig true", "receive.denyCurrentBranch refuse",
        "safe.bareRepository explicit", "blame.ignoreRevsFile /nowhere", "ls-refs.unborn ignore", "trace2.eventTarget /nowhere",
        "format.pretty oneline", "log.date relative", "log.decorate full", "checkout.defaultRemote x", "rerere.enabled true",
    )},
}  # fmt: skip
"""Git commands an agent may have run last, by name. They see ID, ADMIN and COMMON: its directories of git; VICTIM."""

SETTINGS = tuple(name for name in GIT if name.startswith("config:"))
WRECKS = tuple(name for name in GIT if not name.startswith("config:"))

WHEN = ("before", "after", "after", "instead")
ENDS = ("0", "0", "0", "1", "kill")
PROCESSES = (
    "none", "none", "none", "none", "plain", "session", "session-bare", "session-bare-cwd", "session-cwd-write",
    "session-bare-cwd-write", "bare",
)  # fmt: skip
LAYOUTS = ("plain", "plain", "plain", "gate", "sparse", "setup", "restart")
KINDS = ("worktree", "clone")
SANDBOXES = ("none", "bwrap")


@dataclass(frozen=True)
class Deed:
    """What one culprit does in its attempts."""

    leftovers: tuple[Leftover, ...] = ()
    when: str = "after"
    """Whether the leftovers come before or after its good edit, or instead of it."""
    end: str = "0"
    """Its exit code; ``kill``: it kills itself."""
    process: str = "none"
    once: bool = False
    """In later attempts it makes the good edit alone."""

    def row(self) -> dict[str, Any]:
        """Return what the agent reads."""
        edit = () if self.when == "instead" else (("edit",),)
        steps = (*self.leftovers, *edit) if self.when == "before" else (*edit, *self.leftovers)
        with_scripts = [[*step, GIT[step[1]]] if step[0] == "git" else list(step) for step in steps]
        return {"steps": with_scripts, "end": self.end, "process": self.process, "once": self.once}

    def smaller(self) -> Iterator[Deed]:
        """Return what is left when one thing is left out."""
        for at in range(len(self.leftovers)):
            yield replace(self, leftovers=self.leftovers[:at] + self.leftovers[at + 1 :])
        plain = Deed(self.leftovers)
        for less in (
            replace(self, process=plain.process),
            replace(self, end=plain.end),
            replace(self, once=plain.once),
            replace(self, when=plain.when),
        ):
            if less != self:
                yield less

    def __str__(self) -> str:
        words = "; ".join(" ".join(step) for step in self.leftovers) or "nothing"
        told = {"when": self.when, "end": self.end, "process": self.process, "once": self.once}
        odd = [f"{key}={value}" for key, value in told.items() if value != getattr(Deed, key)]
        return " ".join([words, *odd])


@dataclass(frozen=True)
class Scenario:
    """One run: what the culprits do, and where."""

    deeds: tuple[Deed, ...]
    kind: str = "worktree"
    sandbox: str = "none"
    layout: str = "plain"
    seed: int = field(default=0, compare=False)

    def smaller(self) -> Iterator[Scenario]:
        """Return the scenarios with one thing less."""
        for at in range(len(self.deeds) if len(self.deeds) > 1 else 0):
            yield replace(self, deeds=self.deeds[:at] + self.deeds[at + 1 :])
        if self.layout != "plain":
            yield replace(self, layout="plain")
        for at, deed in enumerate(self.deeds):
            for less in deed.smaller():
                yield replace(self, deeds=(*self.deeds[:at], less, *self.deeds[at + 1 :]))

    def leftovers(self) -> list[Leftover]:
        return [step for deed in self.deeds for step in deed.leftovers]

    def causes(self) -> list[Leftover]:
        """Return the leftovers, and the processes that are left behind."""
        return self.leftovers() + [("process", deed.process) for deed in self.deeds if deed.process != "none"]

    def __str__(self) -> str:
        where = " ".join(word for word in (self.kind, self.sandbox, self.layout) if word not in {"none", "plain"})
        return f"[{where}] " + " | ".join(map(str, self.deeds))

    def json(self) -> dict[str, Any]:
        return asdict(self)


def from_json(data: dict[str, Any]) -> Scenario:
    """Return the scenario that ``Scenario.json`` wrote."""
    deeds = [Deed(**{**deed, "leftovers": tuple(map(tuple, deed["leftovers"]))}) for deed in data["deeds"]]
    return Scenario(**{**data, "deeds": tuple(deeds)})


def draw(seed: int, kind: str = "", sandbox: str = "") -> Scenario:
    """Return the scenario of a seed; ``kind`` and ``sandbox`` take the place of what it would have drawn."""
    dice = random.Random(seed)
    deeds = tuple(_deed(dice) for _ in range(2 if dice.random() < 0.2 else 1))
    layout, drawn = dice.choice(LAYOUTS), (dice.choice(KINDS), dice.choice(SANDBOXES))
    return Scenario(deeds, kind or drawn[0], sandbox or drawn[1], layout, seed)


def _deed(dice: random.Random) -> Deed:
    leftovers = tuple(_leftover(dice) for _ in range(dice.choice((1, 1, 2, 3))))
    return Deed(leftovers, dice.choice(WHEN), dice.choice(ENDS), dice.choice(PROCESSES), dice.random() < 0.3)


def _leftover(dice: random.Random) -> Leftover:
    if dice.random() < 0.4:
        return ("git", dice.choice(WRECKS if dice.random() < 0.8 else SETTINGS))
    place = dice.choice(dice.choices(PLACES, SHARES)[0])
    action = dice.choice(("put", "put", "put", "put", "over", "delete", "chmod", "append", "truncate", "flock"))
    if action in {"put", "over"}:
        return (action, dice.choice(THINGS), place)
    if action == "chmod":
        return (action, dice.choice(MODES), place)
    return (action, place)
