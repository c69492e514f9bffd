"""The policy of a project: agentjobs.toml as frozen types, and the profile of a row. Pure."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Final, Literal

import msgspec
from msgspec import Meta, Struct, field

from agentjobs.model.errors import UserError
from agentjobs.policy.agents import WINDOW, Agent, check_writable
from agentjobs.policy.context import TaskContext
from agentjobs.policy.limits import Limits, Retry, Several
from agentjobs.policy.plan_files import Planning
from agentjobs.policy.schema_check import SchemaCheck
from agentjobs.policy.severities import Rule, Severity
from agentjobs.text.nearest import unknown
from agentjobs.text.path_patterns import output_fault
from agentjobs.text.toml import FieldError

if TYPE_CHECKING:
    from collections.abc import Iterable

    from agentjobs.model.tasks import Row

INPUTS: Final = (
    "package.json", "package-lock.json", "npm-shrinkwrap.json", "pnpm-lock.yaml", "pnpm-workspace.yaml",
    "yarn.lock", "bun.lock", "requirements*.txt", "pyproject.toml", "poetry.lock", "uv.lock", "Pipfile.lock",
    "Cargo.toml", "Cargo.lock", "go.mod", "go.sum", "Gemfile", "Gemfile.lock", "composer.json", "composer.lock",
)  # fmt: skip
"""The manifests and lock files of well-known package managers."""

OUTPUT_CHECK: Final = 'test -s "$AGENTJOBS_ROW_OUTPUT"'
"""The first check of a task whose profile has ``output``."""

class Workspace(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where an agent works."""

    kind: Literal["worktree", "clone", "none"] = "worktree"
    """`worktree`: a git worktree for each task; `clone`: a separate repository for each task, so that no agent can
    touch your branches, objects or settings; `none`: the project's own directory, for jobs that change none of its
    files."""
    setup: str | None = None
    """A shell command run once in a new tree, before the agent. What it changes does not land."""
    copy: tuple[str, ...] = ()
    """Paths below the project root to copy into each tree."""
    link: tuple[str, ...] = ()
    """Paths below the project root to link into each tree; writing through a link changes the original."""
    keep: tuple[str, ...] = ()
    """Ignored paths, such as `node_modules`, that stay in a tree when the next task gets it; a name without `/` matches
    at any depth. Everything else that git does not track is removed, and `setup` runs in every tree that is new to a
    task."""
    inputs: tuple[str, ...] = INPUTS
    """Tracked files that `setup` depends on, as names, paths or globs: with `keep`, it runs again only if one of them
    has changed."""
    sparse: tuple[str, ...] = ()
    """Directories to check out, for large repositories: a task's tree has these, those of the task's `files`, and the
    files at the top and on the way to them. Put checks that need more into `landing.gate`, which has everything if
    `landing.batch` is above 1. Empty: check out everything."""
    sandbox: Literal["none", "bwrap"] = "none"
    """`bwrap` (Linux, with bubblewrap): setup, agents and checks can write their tree and little else; see below."""
    writable: tuple[str, ...] = ()
    """What else steps in a sandbox may write: paths from the project root, absolute, or with `~` or `${NAME:-default}`.
    Missing ones are created: a file if the name has an ending, else a directory."""

    def __post_init__(self) -> None:
        named = {"copy": self.copy, "link": self.link, "keep": self.keep, "inputs": self.inputs}
        for key, paths in named.items():
            for path in paths:
                if not path.strip("/.") or path.startswith(("/", "!")) or ".." in path.split("/") or "\0" in path:
                    raise FieldError(key, f"{path!r} is not a path below the project root")
        for path in self.writable:
            check_writable(path)
        for path in self.sparse:
            parts = path.rstrip("/").split("/")
            if re.search(r"[*?\[\]\\!\0\n]", path) or not path.strip("/.") or {"", ".", ".."} & set(parts):
                raise FieldError("sparse", f"{path!r} is not the path of a directory below the project root")
        for path in self.keep:
            names = path.strip("/").split("/")
            for other in (*self.copy, *self.link):
                parts = other.strip("/").split("/")
                if names == parts[: len(names)] or (len(names) == 1 and names[0] in parts):
                    raise FieldError("keep", f"{other!r} is placed anew for each task; remove {path!r}")
        if both := {p.rstrip("/") for p in self.copy} & {p.rstrip("/") for p in self.link}:
            raise FieldError("link", f"{min(both)!r} is also in copy; choose one")
        linked = {path.rstrip("/").rpartition("/")[2] for path in self.link}
        if "node_modules" in linked and re.search(r"\b(npm|pnpm|yarn|bun)\b", self.setup or ""):
            raise FieldError("link", "an install through a linked node_modules empties the original")


class Profile(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Named settings for a kind of task; a row names one in its ``profile`` cell."""

    agent: str
    """A preset (`agentjobs agents` lists them), or a name under `[agents]`."""
    model: str | None = None
    """The model to use; the agent's default if left out."""
    turns: Several | None = None
    """Turns that one attempt may take, if the agent supports such a limit."""
    budget_usd: Annotated[float, Meta(gt=0)] | None = None
    """Cost limit of one attempt, US dollars, if the agent supports such a limit."""
    prompt: str = "prompt.md.j2"
    """Path of the prompt template, from the project root."""
    verify: tuple[str, ...] = ()
    """Shell commands that must all succeed in the tree before the work lands."""
    checks: tuple[SchemaCheck, ...] = ()
    """Outputs that are data, and their schemas."""
    review: tuple[str, ...] = ()
    """Profiles that review verified work before it lands, each with its own agent."""
    review_pass: Rule = "all"  # noqa: S105
    """Whose verdicts must pass: `all` of them, `any` one, or the `majority`."""
    review_blocks: Severity = "high"
    """A verdict passes if every finding is less severe than this."""
    require_change: bool = True
    """An attempt that changes nothing fails."""
    scope: Literal["files", "any"] = "files"
    """`files`: an attempt may change only what the row's `files` names (anything, if the row names nothing); `any`: no
    limit."""
    baseline: Literal["any", "green"] = "any"
    """`green`: the checks must pass on `base` before any agent starts."""
    escalate: str | None = None
    """The profile that layer 3 uses instead of this one."""
    fit: Annotated[float, Meta(gt=0, le=1)] = 0.6
    """Share of the window that a prompt may fill; a larger prompt is refused before it costs anything."""
    window: Several | None = None
    """Context window of the model, in tokens; by default that of the agent's preset, or 200,000."""
    plan: str | None = None
    """A shell command that creates the tasks of this phase, once the phase before is over: it calls `agentjobs plan …`,
    or prints rows as JSON lines. Runs in the project's directory; only for a profile in `phases`."""
    again: bool = False
    """Run `plan` again whenever the tasks of this phase have settled, until it adds none: for merging level by
    level."""
    output: str | None = None
    """What each task writes, from the top of its tree, as in `merged/{id}.md`: plans put it into the column `output`,
    and a task whose file is missing or empty fails its first check."""
    min_done: Annotated[float, Meta(gt=0, le=1)] = 1.0
    """This phase starts once the phase before is over and at least this share of its tasks (without those SKIPPED) is
    DONE."""
    context_stop: Annotated[float, Meta(gt=0, le=1)] = 0.85
    """An agent is stopped if its context fills this share of the window; a fresh one continues from its handoff."""
    context: TaskContext | None = None
    """Parts of the repository that prompts contain."""

    def __post_init__(self) -> None:
        if not self.prompt:
            raise FieldError("prompt", "needs the path of a template")
        _check_shell("verify", self.verify)
        if self.plan is not None:
            _check_shell("plan", (self.plan,))
        if self.again and self.plan is None:
            raise FieldError("again", "needs `plan`, the command to run again")
        if self.output is not None and (words := output_fault(self.output)):
            raise FieldError("output", words)


class Landing(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How verified work reaches the target branch."""

    enabled: bool = True
    """If false, verified work stays a commit outside the target branch."""
    gate: tuple[str, ...] = ()
    """Shell commands that must succeed, in addition to `verify`, on the result of merging the work into the target.
    They run once for a whole batch of tasks."""
    batch: Several = 16
    """Most tasks per run of `gate`; 1: each task separately, in its own tree."""
    wait_s: Annotated[float, Meta(ge=0)] = 60.0
    """Most seconds that a verified task waits for others to share a run of `gate`; it does not wait while agents are
    idle."""
    problems: tuple[str, ...] = ()
    """Regular expressions, in addition to the built-in ones, that find in the output of `gate` which file an error is
    in: groups `file` and, if there is one, `line`."""
    approve: bool = False
    """Verified work waits for `agentjobs approve` before it lands."""

    @property
    def together(self) -> int:
        """The most tasks that land together; 1 without a gate, because then only its own checks judge a task."""
        return self.batch if self.gate else 1

    def __post_init__(self) -> None:
        _check_shell("gate", self.gate)
        for pattern in self.problems:
            try:
                found = re.compile(pattern)
            except re.error as error:
                raise FieldError("problems", f"{pattern!r} is not a regular expression: {error}") from None
            if "file" not in found.groupindex:
                raise FieldError("problems", f"{pattern!r} has no group (?P<file>...)")


class Policy(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All of agentjobs.toml."""

    base: str = "main"
    """The branch or commit where trees start."""
    target: str = "agentjobs/landed"
    """The branch that receives verified work; created from `base` if it does not exist."""
    slots: Several = 8
    """Agents at once; `agentjobs slots N` changes it while a run goes on."""
    verify_slots: Several = 2
    """Checks at once."""
    phases: tuple[str, ...] = ()
    """Names of profiles, in order: the tasks of one start when those of the one before have settled."""
    inherit: tuple[str, ...] = ()
    """Variables of the environment of agentjobs that agents and checks get in addition to the usual ones: names or
    globs, as in `["DATABASE_URL", "MYAPP_*"]`."""
    limits: Limits = field(default_factory=Limits)
    """Limits and budgets."""
    retry: Retry = field(default_factory=Retry)
    """The three layers."""
    workspace: Workspace = field(default_factory=Workspace)
    """The trees."""
    profiles: dict[str, Profile] = field(default_factory=dict)
    """One table for each kind of task; a row without a profile has `default`."""
    agents: dict[str, Agent] = field(default_factory=dict)
    """One table for each agent program."""
    landing: Landing = field(default_factory=Landing)
    """The target branch."""
    plan: Planning | None = None
    """Which files `plan files` turns into tasks."""

    def __post_init__(self) -> None:
        if not self.base or self.base.startswith("-") or not self.base.isprintable():
            raise FieldError("base", f"{self.base!r} is not a branch or commit")
        if not _is_branch(self.target):
            raise FieldError("target", f"{self.target!r} is not a name git allows for a branch")


def window_of(policy: Policy, profile: Profile) -> int:
    """Return the context window of a profile's model, in tokens."""
    agent = policy.agents.get(profile.agent)
    return profile.window or (agent.window if agent else None) or WINDOW


def finish_grace_s(policy: Policy, agent: str) -> float:
    """Return the seconds that an agent may go on running after its final event."""
    found = policy.agents.get(agent)
    own = found.finish_grace_s if found else None
    return policy.limits.finish_grace_s if own is None else own


def wishes_of(profile: Profile) -> dict[str, str]:
    """Return the settings of a profile that become flags of its agent, by the name of the flag."""
    budget = None if profile.budget_usd is None else f"{profile.budget_usd:g}"
    asked = {"model": profile.model, "turns": profile.turns and str(profile.turns), "budget": budget}
    return {key: value for key, value in asked.items() if value}


def resolve(policy: Policy, row: Row, *, profile: str | None = None, file: str = "tasks.tsv") -> Profile:
    """Return the profile of a row, with the row's own ``prompt`` and ``verify`` instead of the profile's.

    ``profile`` names another one (that of layer 3). Raises UserError, with the row's line, if it is not defined.
    """
    name = profile or row.profile or "default"
    if name not in policy.profiles:
        raise UserError(unknown_name("profile", name, policy.profiles), file=file, line=row.line)
    found = policy.profiles[name]
    prompt, verify = row.cells.get("prompt", ""), row.cells.get("verify", "")
    if prompt:
        found = msgspec.structs.replace(found, prompt=prompt)
    if verify:
        found = msgspec.structs.replace(found, verify=(verify,))
    if row.cells.get("output", "").strip() and (found.output or policy.profiles.get(row.profile, found).output):
        found = msgspec.structs.replace(found, verify=(OUTPUT_CHECK, *found.verify))
    return found


def _check_shell(key: str, commands: tuple[str, ...]) -> None:
    for command in commands:
        if not command.strip() or "\0" in command:
            raise FieldError(key, f"{command!r} is not a command")


def _is_branch(name: str) -> bool:
    """Return whether git accepts the text as the name of a branch."""
    return (
        name != "HEAD"
        and not name.startswith(("-", "refs/"))
        and not re.search(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|(^|/)\.|\.lock(/|$)|[/.]$|^/|^@?$", name)
    )


def unknown_name(what: str, name: str, known: Iterable[str]) -> str:
    """Return the error for a name that is not defined, with the nearest one that is."""
    return unknown(what, name, sorted(known), f"agentjobs.toml has no [{what}s.{name}]")


def checks_of(profile: Profile) -> tuple[str, ...]:
    """Return all checks of a task, in the order in which they run."""
    return tuple(check.command for check in profile.checks) + profile.verify
