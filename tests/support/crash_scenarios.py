"""The commands that the crash tests interrupt, and the checks after an interruption.

All commands run in the same kind of repository. It has branches and a worktree of the user, packed
refs, uncommitted files in the main worktree, and two sessions. The commands change the session s1,
and the session s2 that starts from the winner of s1.
"""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.hub import CHECKOUT, PYTHON, Hub, Result, snapshot
from tests.support.interrupt import Template
from tests.support.tracer import ignored_calls

TRACER = Path(__file__).with_name("tracer.py")
COMMAND = (
    f"import sys; sys.path.insert(0, {str(CHECKOUT)!r})\n"
    "from git_hub_session.__main__ import command; command()"
)
_LEFTOVER = re.compile(r"\.tmp$|\.lock$|\.new$|hub-trash|hub-session-|\.cut-off-")
_PARTIAL_WORKTREE = re.compile(
    "error: worktrees/agent-[12](-2)?/HEAD: detached HEAD points at nothing"
    "|error: invalid worktrees/agent-[12](-2)?/HEAD"
    "|fatal: failed to read .git/worktrees/agent-[12](-2)?/commondir: (Success|No such file or directory)"
)
# git asks the user to remove these files, because another git could still use them.
_NAMED_LOCK = re.compile(r"(/[^' ]*(?:\.lock|packed-refs\.new))'?: File exists")
_GIT_LOCK = re.compile(
    r"project/\.git/(refs/.*\.lock|(worktrees/[^/]*/)?(HEAD|ORIG_HEAD|index)\.lock|packed-refs\.(lock|new))"
)
_BOARD = "project/.agenthub/board/"
_SESSIONS = "project/.agenthub/sessions/"
_TRANSITIONS = {
    "init": {"running"},
    "running": {"evaluating"},
    "evaluating": {"merged", "archived"},
}
_SUMMARY_TITLE = "Merge Summary"
KILLS = ("all", "alone")
"""The actions that kill all processes or one process."""

SIGNALS = {"INT": 2, "INT+INT": 2, "TERM": 15}
"""The signal that an action sends."""


def can_trace() -> bool:
    """Return True if the tracer works on this system."""
    if (sys.platform, platform.machine()) != ("linux", "x86_64"):
        return False
    command = [PYTHON, "-I", str(TRACER), "/dev/null", "/nowhere", "none", "0", "true"]
    return subprocess.run(command, capture_output=True).returncode == 0


class Scenario(NamedTuple):
    """A command, and the state of the repository before it."""

    arguments: tuple[str, ...]
    prepare: Callable[[Hub], None]
    calls: int
    """The smallest number of changes that the command makes."""
    refusal: str = ""
    """The error of a second call after a complete one, or '' if it succeeds again."""
    out: str = ""
    """The standard output of the command."""
    deletes: tuple[str, ...] = ()
    """The prefixes of the refs that the command deletes."""


def worktree_path(hub: Hub, agent: int, sid: str = "s1") -> Path:
    """Return the path of an agent's worktree."""
    return hub.top.parent / "project.hub" / sid / f"agent-{agent}"


def _prepare_nothing(_hub: Hub) -> None:
    """Leave the repository without the session."""


def _create_session(hub: Hub) -> None:
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2").code == 0


def _create_work(hub: Hub) -> None:
    """Create two agents with commits, the first also with uncommitted changes."""
    _create_session(hub)
    assert hub.run("spawn", "-q", "s1") == Result(0)
    for agent in (1, 2):
        (worktree_path(hub, agent) / "file").write_text(f"first\nby agent {agent}\n")
        hub.git("add", "-A", cwd=worktree_path(hub, agent))
        hub.commit(worktree_path(hub, agent), "more/new", f"{agent}\n" * 20)
    hub.git("pack-refs", "--all")
    worktree = worktree_path(hub, 1)
    (worktree / "file").write_text("staged\n")
    hub.git("add", "file", cwd=worktree)
    (worktree / "file").write_text("changed\n")
    (worktree / "untracked").write_text("untracked\n")


def _lose_session(hub: Hub) -> None:
    """Delete the directory of the session. Its branches and worktrees stay."""
    _create_work(hub)
    shutil.rmtree(hub.directory())


def _leave_branch(hub: Hub) -> None:
    """Let agent-1 leave its branch."""
    _create_work(hub)
    hub.git("switch", "-q", "-c", "fix", cwd=worktree_path(hub, 1))


def _evaluate(hub: Hub) -> None:
    _create_work(hub)
    assert hub.run("eval", "-q", "--ranking", "2,1", "s1") == Result(0)


def _evaluate_next(hub: Hub) -> None:
    """Evaluate the session s2, whose agents start from the winner of s1."""
    _evaluate(hub)
    init = ("init", "-q", "--id", "s2", "--after", "s1", "--agents", "2")
    assert hub.run(*init) == Result(0, "s2\n")
    assert hub.run("spawn", "-q", "s2") == Result(0)
    for agent in (1, 2):
        hub.commit(worktree_path(hub, agent, "s2"), "more/new", f"next {agent}\n" * 20)
    assert hub.run("eval", "-q", "--ranking", "1,2", "s2") == Result(0)


def _evaluate_behind(hub: Hub) -> None:
    """Evaluate two agents with two commits each, and let the base branch move."""
    _create_work(hub)
    for agent in (1, 2):
        hub.commit(worktree_path(hub, agent), "more/new", f"again {agent}\n" * 20)
    hub.commit(hub.top, "moved", "by a user\n")
    assert hub.run("eval", "-q", "--ranking", "2,1", "s1") == Result(0)


def _archive(hub: Hub) -> None:
    _create_work(hub)
    assert hub.run("archive", "-q", "s1") == Result(0)


SCENARIOS = {
    "init": Scenario(
        ("init", "-q", "--id", "s1", "--task", "t", "--agents", "2"),
        _prepare_nothing,
        10,
        "error: session 's1' already exists\nhint: choose another --id\n",
        "s1\n",
    ),
    "init --adopt": Scenario(
        ("init", "-q", "--adopt", "s1"),
        _lose_session,
        10,
        "error: session 's1' already exists\nhint: choose another --id\n",
        "s1\n",
    ),
    "update": Scenario(
        ("update", "-q", "s1", "--state", "running"),
        _create_session,
        4,
        "error: cannot go from 'running' to 'running'\n"
        "hint: from 'running' a session can go to 'evaluating'\n",
    ),
    "post": Scenario(("board", "post", "-q", "results", "-m", "a post"), _create_session, 6),
    "spawn": Scenario(("spawn", "-q", "-j1", "s1"), _create_session, 70),
    "cleanup": Scenario(("cleanup", "-q", "s1"), _create_work, 100),
    "cleanup --archive": Scenario(("cleanup", "-q", "--archive", "s1"), _create_work, 130),
    "merge": Scenario(("merge", "-q", "--yes", "s1"), _evaluate, 150),
    "merge --rebase": Scenario(("merge", "-q", "--yes", "--rebase", "s1"), _evaluate_behind, 300),
    "merge --ff": Scenario(("merge", "-q", "--yes", "--ff", "s1"), _evaluate, 250),
    "merge after s1": Scenario(("merge", "-q", "--yes", "s2"), _evaluate_next, 400),
    "archive after s1": Scenario(("archive", "-q", "s2"), _evaluate_next, 100),
    "init --after": Scenario(
        ("init", "-q", "--id", "s2", "--after", "s1"),
        _evaluate,
        10,
        "error: session 's2' already exists\nhint: choose another --id\n",
        "s2\n",
    ),
    "merge --into": Scenario(("merge", "-q", "--yes", "--into", "aside", "s1"), _evaluate, 140),
    "archive": Scenario(("archive", "-q", "s1"), _create_work, 130),
    "adopt": Scenario(("adopt", "-q", "s1", "agent-1"), _leave_branch, 15),
    "adopt a branch": Scenario(("adopt", "-q", "s1", "agent-2", "aside"), _create_work, 40),
    "restore": Scenario(("restore", "-q", "s1"), _archive, 80),
    "delete": Scenario(
        ("delete", "-q", "s1"),
        _create_session,
        4,
        "fatal: no such session: 's1'\nhint: git hub-session list\n",
    ),
    "prune": Scenario(
        ("prune", "-q", "--yes", "--older-than", "0s"),
        _archive,
        10,
        deletes=("refs/tags/hub/archive/", "refs/hub/"),
    ),
}


class ScenarioRunner:
    """A scenario that can be repeated, with the state before the command and after it."""

    def __init__(self, hub: Hub, scenario: Scenario) -> None:
        self.hub = hub
        self.scenario = scenario
        self.report = hub.top.parent / "report"
        scratch = hub.top.parent / "scratch"
        self._create_user_files()
        scenario.prepare(hub)
        directories = [hub.top, hub.worktrees, hub.top.parent / "project.hub", scratch]
        for directory in directories:
            directory.mkdir(exist_ok=True)
        hub.environ["TMPDIR"] = str(scratch)
        self._template = Template(hub, directories)
        self.before = hub.refs()
        self.commits = self._commits(ref for ref in self.before if self._is_kept(ref))
        self.user_files = self._user_files()
        self.has_work = worktree_path(hub, 1).exists()
        self.tracked = self._tracked()
        self.tracked_after: dict[str, bytes] = {}
        self.restore()  # as before each run: git considers restored files modified
        assert self.run_traced("none", 0) == Result(0, scenario.out)
        self._calls = self.report.read_text().splitlines()
        self.expected_outcome = self.outcome()
        assert self.expected_outcome.pop("leftovers") == []
        self.tracked_after = self._tracked()
        self.restore()

    def _create_user_files(self) -> None:
        """Create the branches, the worktree, the files and the session of the user."""
        hub = self.hub
        hub.git("branch", "aside")
        hub.git("worktree", "add", "-q", "-b", "topic", hub.worktrees / "other")
        hub.commit(hub.worktrees / "other", "theirs", "theirs\n")
        (hub.worktrees / "other" / "file").write_text("their work\n")
        hub.git("tag", "v1")
        hub.git("pack-refs", "--all")
        (hub.top / "mine").write_text("not committed\n")
        (hub.top / "sub" / "other").write_text("changed here\n")
        hub.run("init", "-q", "--id", "s0", "--task", "another")

    def restore(self) -> None:
        """Restore the state before the command."""
        self._template.restore()

    def calls(self, action: str) -> list[str]:
        """Return the calls of an undisturbed run at which the action can happen."""
        return [call for call in self._calls if call.split()[1] not in ignored_calls(action)]

    def run_traced(self, action: str, call: int | str) -> Result:
        """Run the command of the scenario under the tracer.

        Args:
            action: the action of the tracer, such as "all" for a kill (see tracer.py).
            call: the number of the call at which the action happens, or a part of its line.
        """
        trace = (str(self.report), str(self.hub.top.parent), action, str(call))
        result = self.hub.run(*self.scenario.arguments, trace=trace)
        assert isinstance(call, int) or call in self.report.read_text(), (call, result)
        return result

    def late_changes(self) -> list[str]:
        """Return the calls that child processes made after the command had ended."""
        lines = self.report.read_text().splitlines()
        return [line for line in lines if line.startswith("LATE ")]

    def call(self, *arguments: str) -> Result:
        """Run a command without a fault."""
        return Hub(self.hub.top, self.hub.environ).run(*arguments)

    def _is_kept(self, ref: str) -> bool:
        """Return True if the command of the scenario may not delete the ref."""
        return not (self.scenario.deletes and ref.startswith(self.scenario.deletes))

    def _commits(self, refs: Iterable[str]) -> set[str]:
        """Return all commits that the refs reach."""
        # --all would also read the HEAD of each worktree. A partly created worktree has an invalid HEAD.
        return set(self.hub.git("rev-list", "--stdin", stdin="\n".join(refs)).splitlines())

    def _tracked(self) -> dict[str, bytes]:
        """Return the files of the main worktree that a merge may change."""
        paths = {name: self.hub.top / name for name in ("file", "more/new")}
        return {name: path.read_bytes() for name, path in paths.items() if path.exists()}

    def _user_files(self) -> dict[str, bytes | str]:
        """Return the files of the user, which must never change."""
        files = {name: (self.hub.top / name).read_bytes() for name in ("mine", "sub/other")}
        return {**files, **snapshot(self.hub.worktrees / "other")}

    def check(self) -> None:
        """Check that all sessions are readable, and that no work is lost."""
        hub = self.hub
        listing = json.loads(self.call("list", "--format=json").out)
        sids = {row["session_id"]: row for row in listing["sessions"]}
        assert sids.keys() - {"s1", "s2"} == {"s0"}
        assert not any(row.get("broken") for row in sids.values()), listing
        for sid in sids:
            _check_history(hub.state(sid))
        self._check_refs()
        assert self._user_files() == self.user_files
        if self.has_work:
            _check_work(hub)
        self._check_checkout()
        fsck = hub.call("git", "fsck", "--no-dangling", "--no-progress")
        for line in fsck.err.splitlines():
            assert _PARTIAL_WORKTREE.fullmatch(line), fsck

    def _check_refs(self) -> None:
        """Check that no ref and no commit is lost."""
        refs = self.hub.refs()
        for ref, oid in self.before.items():
            if not self._is_kept(ref):
                assert refs.get(ref, oid) == oid, ref
            elif ref in ("refs/heads/aside", "refs/heads/main") and refs[ref] != oid:
                self.hub.git("merge-base", "--is-ancestor", oid, refs[ref])
            elif ref.startswith(("refs/heads/hub/s1/", "refs/heads/hub/s2/")):
                assert oid in (refs.get(ref), *refs.values()), ref
            else:
                assert refs.get(ref) == oid, ref
        assert self.commits <= self._commits(refs)

    def _check_checkout(self) -> None:
        """Check that each file of the main worktree is old, new, or a partly written new one."""
        old, new = self.tracked, self.tracked_after
        assert (self.hub.top / ".git" / "HEAD").read_text() == "ref: refs/heads/main\n"
        for name, content in self._tracked().items():
            assert content == old.get(name) or new.get(name, b"").startswith(content), name

    def finish(self) -> int:
        """Run the command again until it succeeds, and compare the outcome with an undisturbed run.

        Remove the lock files that git asks to remove, and return the number of git's lock files.
        """
        count = 0
        while True:
            result = self.call(*self.scenario.arguments)
            if result == Result(0, self.scenario.out):
                break
            if result.err == self.scenario.refusal != "":
                assert (result.code in (1, 128), result.out) == (True, ""), result
                break
            assert result.code in (1, 128), result
            locks = set(_NAMED_LOCK.findall(result.out + result.err))
            assert locks, result
            assert "remove the file manually to continue" in result.out + result.err, result
            for lock in locks:
                os.unlink(lock)
            count += len(locks)
            assert count < 20, result
        outcome = self.outcome()
        if any(path.startswith(f"{_SESSIONS}.") for path in outcome["leftovers"]):
            self.call("doctor", "--fix")  # the next `init` removes an incomplete session too
            outcome = self.outcome()
        leftovers = outcome.pop("leftovers")
        # Any command may leave files in $TMPDIR.
        leftovers = [path for path in leftovers if not path.startswith("scratch/")]
        git_locks = [path for path in leftovers if _GIT_LOCK.fullmatch(path)]
        for path in git_locks:
            (self.hub.top.parent / path).unlink()
        board = [path for path in leftovers if path.startswith(_BOARD)]
        # The next post removes the temporary files of its channel and of the board.
        for channel in {path.removeprefix(_BOARD).partition("/")[0] for path in board}:
            is_channel = (self.hub.top.parent / _BOARD / channel).is_dir()
            name = channel if is_channel else "results"
            assert self.call("board", "post", "-q", name, "-m", "next") == Result(0)
        leftovers = [path for path in leftovers if path not in board or self._exists(path)]
        assert ([path for path in leftovers if path not in git_locks], outcome) == (
            [],
            self.expected_outcome,
        )
        return count + len(git_locks)

    def _exists(self, path: str) -> bool:
        return (self.hub.top.parent / path).exists()

    def outcome(self) -> dict[str, Any]:
        """Return the leftovers, refs, files, their status, the git dirs and the posts."""
        hub, top = self.hub, self.hub.top.parent
        status = ("--no-optional-locks", "status", "--porcelain", "--untracked-files=all")
        git_dirs = hub.top / ".git" / "worktrees"
        directories = [hub.top, *(path for path in sorted(top.glob("project.hub/s[12]/*")))]
        files = {
            name: content
            for directory in (hub.top, top / "project.hub", hub.worktrees)
            for name, content in snapshot(directory).items()
            if not name.startswith((".git/", ".agenthub/board/"))
        }
        leftovers = [
            str(path.relative_to(top))
            for directory in ("project", "project.hub", "worktrees", "scratch")
            for path in (top / directory).rglob("*")
            if _LEFTOVER.search(path.name) and ".git/objects" not in str(path)
        ]
        return {
            "leftovers": leftovers,
            "refs": hub.refs(),
            "files": files,
            "status": [hub.git(*status, cwd=directory) for directory in directories],
            "entries": sorted(os.listdir(git_dirs)) if git_dirs.exists() else [],
            "posts": _post_texts(hub),
        }


def _post_texts(hub: Hub) -> set[str]:
    """Return the texts of the posts, without the actions that a repeated merge omits."""
    posts = (hub.top / ".agenthub" / "board").glob("*/*.md")
    texts = [path.read_text().partition("---\n\n")[2] for path in posts]
    assert len([text for text in texts if _SUMMARY_TITLE in text]) <= 1
    return {text.partition("- **Archived**")[0] for text in texts}


def _check_history(state: dict[str, Any]) -> None:
    """Check that legal transitions lead from `init` to the state of the session."""
    current = "init"
    for step in state.get("history", ()):
        assert step["from"] == current
        assert step["to"] in _TRANSITIONS[current]
        current = step["to"]
    assert state["state"] == current


def _check_work(hub: Hub) -> None:
    """Check that the work of agent-1 is in its worktree, in the trash, or under a rescue ref."""
    worktree = worktree_path(hub, 1)
    git_dir = hub.top / ".git" / "worktrees" / "agent-1"
    for directory in (worktree, worktree.parent / ".agent-1.hub-trash"):
        changed = directory / "file"
        untracked = directory / "untracked"
        if git_dir.exists() and changed.exists() and untracked.exists():
            staged = subprocess.run(
                ["git", f"--git-dir={git_dir}", "show", ":file"], capture_output=True, text=True
            )
            work = (changed.read_text(), staged.stdout, untracked.read_text())
            assert work == ("changed\n", "staged\n", "untracked\n")
            return
    (ref,) = hub.refs("refs/hub/rescue/s1/agent-1")
    saved = [hub.git("show", f"{ref}{path}") for path in (":file", "^2:file", "^3:untracked")]
    assert saved == ["changed", "staged", "untracked"]


def check_result(result: Result, action: str, context: str) -> None:
    """Check that the command succeeded, printed an error, or was ended by the action."""
    if result.code == 128 + 9:
        assert action in KILLS, context
    elif action in SIGNALS and result.code:
        assert result == Result(128 + SIGNALS[action]), (context, result)
    elif result.code:
        assert result.code in (1, 128), (context, result)
        assert result.err.startswith(("error: ", "fatal: ", "agent-", "warning: ")), (
            context,
            result,
        )
    assert "Traceback" not in result.err, (context, result)
