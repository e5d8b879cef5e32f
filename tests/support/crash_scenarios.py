"""The commands that are interrupted, and the checks after an interruption.

All of them run in the same repository. It has branches and a worktree of the user, packed refs,
uncommitted files in the main worktree, and a second session. In it a session is created, spawned,
merged, archived or restored.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, NamedTuple

from tests.support.hub import CHECKOUT, PYTHON, Hub, Result, snapshot
from tests.support.interrupt import Template
from tests.support.tracer import spared

TRACER = Path(__file__).with_name("tracer.py")
COMMAND = (
    f"import sys; sys.path.insert(0, {str(CHECKOUT)!r})\n"
    "from git_hub_session.__main__ import command; command()"
)
_LEFTOVER = re.compile(r"\.tmp$|\.lock$|\.new$|hub-trash|hub-session-|\.cut-off-")
_PARTIAL_WORKTREE = re.compile(
    "error: worktrees/agent-[12]/HEAD: detached HEAD points at nothing"
    "|error: invalid worktrees/agent-[12]/HEAD"
    "|fatal: failed to read .git/worktrees/agent-[12]/commondir: (Success|No such file or directory)"
)
# The files of which git says "remove the file manually": another git may still use them.
_NAMED_LOCK = re.compile(r"(/[^' ]*(?:\.lock|packed-refs\.new))'?: File exists")
_GIT_LOCK = re.compile(
    r"project/\.git/(refs/.*\.lock|(worktrees/[^/]*/)?(HEAD|index)\.lock|packed-refs\.(lock|new))"
)
_BOARD = "project/.agenthub/board/"
_LEGAL = {
    "init": {"running"},
    "running": {"evaluating"},
    "evaluating": {"merged", "archived"},
}
_SUMMARY_TITLE = "Merge Summary"
KILLS = ("all", "alone")
"""The actions that kill one process or all of them."""

SIGNALS = {"INT": 2, "INT+INT": 2, "TERM": 15}
"""The signal that an action sends."""


class Scene(NamedTuple):
    """A command, and the state of the repository before it."""

    words: tuple[str, ...]
    prepare: Callable[[Hub], None]
    calls: int
    """The smallest number of changes that the command makes."""
    refusal: str = ""
    """The error of a second call after a complete one, or '' if it succeeds again."""
    out: str = ""
    """The standard output of the command."""


def place(hub: Hub, agent: int) -> Path:
    """Return the path of an agent's worktree."""
    return hub.top.parent / "project.hub" / "s1" / f"agent-{agent}"


def _prepare_nothing(_hub: Hub) -> None:
    """Leave the repository without the session."""


def _create_session(hub: Hub) -> None:
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2").code == 0


def _create_work(hub: Hub) -> None:
    """Create two agents with commits, the first also with uncommitted changes."""
    _create_session(hub)
    assert hub.run("spawn", "-q", "s1") == Result(0)
    for agent in (1, 2):
        (place(hub, agent) / "file").write_text(f"first\nby agent {agent}\n")
        hub.git("add", "-A", cwd=place(hub, agent))
        hub.commit(place(hub, agent), "more/new", f"{agent}\n" * 20)
    hub.git("pack-refs", "--all")
    where = place(hub, 1)
    (where / "file").write_text("staged\n")
    hub.git("add", "file", cwd=where)
    (where / "file").write_text("changed\n")
    (where / "untracked").write_text("untracked\n")


def _evaluate(hub: Hub) -> None:
    _create_work(hub)
    assert hub.run("eval", "-q", "--ranking", "2,1", "s1") == Result(0)


def _archive(hub: Hub) -> None:
    _create_work(hub)
    assert hub.run("archive", "-q", "s1") == Result(0)


SCENES = {
    "init": Scene(
        ("init", "-q", "--id", "s1", "--task", "t", "--agents", "2"),
        _prepare_nothing,
        10,
        "error: session 's1' already exists\nhint: choose another --id\n",
        "s1\n",
    ),
    "update": Scene(
        ("update", "-q", "s1", "--state", "running"),
        _create_session,
        4,
        "error: cannot go from 'running' to 'running'\n"
        "hint: from 'running' a session can go to 'evaluating'\n",
    ),
    "post": Scene(("board", "post", "-q", "results", "-m", "a post"), _create_session, 6),
    "spawn": Scene(("spawn", "-q", "-j1", "s1"), _create_session, 70),
    "cleanup": Scene(("cleanup", "-q", "s1"), _create_work, 100),
    "cleanup --archive": Scene(("cleanup", "-q", "--archive", "s1"), _create_work, 130),
    "merge": Scene(("merge", "-q", "--yes", "s1"), _evaluate, 150),
    "merge --into": Scene(("merge", "-q", "--yes", "--into", "aside", "s1"), _evaluate, 140),
    "archive": Scene(("archive", "-q", "s1"), _create_work, 130),
    "restore": Scene(("restore", "-q", "s1"), _archive, 80),
}


class World:
    """A scene that can be repeated, with the state before the command and after it."""

    def __init__(self, hub: Hub, scene: Scene) -> None:
        self.hub = hub
        self.scene = scene
        self.report = hub.top.parent / "report"
        scratch = hub.top.parent / "scratch"
        self._create_user_files()
        scene.prepare(hub)
        places = [hub.top, hub.worktrees, hub.top.parent / "project.hub", scratch]
        for directory in places:
            directory.mkdir(exist_ok=True)
        hub.environ["TMPDIR"] = str(scratch)
        self._template = Template(hub, places)
        self.before = hub.refs()
        self.commits = self._commits(self.before)
        self.user_files = self._user_files()
        self.has_work = place(hub, 1).exists()
        self.tracked = self._tracked()
        self.tracked_then: dict[str, bytes] = {}
        self.restore()  # as before each run: git takes copied files for modified ones
        assert self.play("none", 0) == Result(0, scene.out)
        self._calls = self.report.read_text().splitlines()
        self.end = self.outcome()
        assert self.end.pop("leftovers") == []
        self.tracked_then = self._tracked()
        self.restore()

    def _create_user_files(self) -> None:
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
        return [call for call in self._calls if call.split()[1] not in spared(action)]

    def play(self, action: str, call: int | str) -> Result:
        """Run the command of the scene under the tracer.

        Args:
            call: the number of the call at which the action happens, or a part of its line.
        """
        words = (PYTHON, "-B", "-I", "-c", COMMAND, *self.scene.words)
        world = str(self.hub.top.parent)
        result = self.hub.call(PYTHON, "-I", TRACER, self.report, world, action, str(call), *words)
        assert isinstance(call, int) or call in self.report.read_text(), (call, result)
        return result

    def late(self) -> list[str]:
        """Return the changes that were made after the command itself had ended."""
        lines = self.report.read_text().splitlines()
        return [line for line in lines if line.startswith("LATE ")]

    def call(self, *words: str) -> Result:
        """Run a command directly, not through git: that saves two processes."""
        return self.hub.call(PYTHON, "-B", "-I", "-c", COMMAND, *words)

    def _commits(self, refs: Iterable[str]) -> set[str]:
        # --all would read the HEADs of worktrees too. In a partly created worktree, HEAD has no commit.
        return set(self.hub.git("rev-list", "--stdin", stdin="\n".join(refs)).splitlines())

    def _tracked(self) -> dict[str, bytes]:
        """Return the files of the main worktree that a merge may change."""
        paths = {name: self.hub.top / name for name in ("file", "more/new")}
        return {name: path.read_bytes() for name, path in paths.items() if path.exists()}

    def _user_files(self) -> dict[str, bytes | str]:
        """Return the files of the user, which must never change."""
        own = {name: (self.hub.top / name).read_bytes() for name in ("mine", "sub/other")}
        return {**own, **snapshot(self.hub.worktrees / "other")}

    def check(self) -> None:
        """Check that all sessions are readable, and that no work is lost."""
        hub = self.hub
        listed = json.loads(self.call("list", "--format=json").out)
        sids = {row["session_id"]: row for row in listed["sessions"]}
        assert sids.keys() - {"s1"} == {"s0"}
        assert not any(row.get("broken") for row in sids.values()), listed
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
        now = self.hub.refs()
        for ref, oid in self.before.items():
            if ref in ("refs/heads/aside", "refs/heads/main") and now[ref] != oid:
                self.hub.git("merge-base", "--is-ancestor", oid, now[ref])
            elif ref.startswith("refs/heads/hub/s1/"):
                assert oid in (now.get(ref), *now.values()), ref
            else:
                assert now.get(ref) == oid, ref
        assert self.commits <= self._commits(now)

    def _check_checkout(self) -> None:
        """Check that each file of the main worktree is old, new, or a partly written new one."""
        old, new = self.tracked, self.tracked_then
        assert (self.hub.top / ".git" / "HEAD").read_text() == "ref: refs/heads/main\n"
        for name, data in self._tracked().items():
            assert data == old.get(name) or new.get(name, b"").startswith(data), name

    def finish(self) -> int:
        """Run the command again, follow its advice, and check the outcome of an undisturbed run.

        Return the number of git's lock files that had to be removed or that remain.
        """
        count = 0
        while True:
            again = self.call(*self.scene.words)
            if again == Result(0, self.scene.out):
                break
            if again.err == self.scene.refusal != "":
                assert again == Result(1, "", self.scene.refusal)
                break
            assert again.code in (1, 128), again
            verbose = self.call(*(word for word in self.scene.words if word != "-q"))
            locks = set(_NAMED_LOCK.findall(verbose.out + verbose.err))
            assert locks, (again.out, again.err, verbose.out, verbose.err)
            assert "remove the file manually to continue" in verbose.out + verbose.err, verbose
            for lock in locks:
                os.unlink(lock)
            count += len(locks)
            assert count < 20, verbose
        now = self.outcome()
        left = now.pop("leftovers")
        left = [path for path in left if not path.startswith("scratch/")]  # as in every $TMPDIR
        git_locks = [path for path in left if _GIT_LOCK.fullmatch(path)]
        for path in git_locks:
            (self.hub.top.parent / path).unlink()
        if any(path.startswith(_BOARD) for path in left):  # the next post removes it
            assert self.call("board", "post", "-q", "results", "-m", "next") == Result(0)
            left = [path for path in left if not path.startswith(_BOARD) or self._exists(path)]
        assert ([path for path in left if path not in git_locks], now) == ([], self.end)
        return count + len(git_locks)

    def _exists(self, path: str) -> bool:
        return (self.hub.top.parent / path).exists()

    def outcome(self) -> dict[str, Any]:
        """Return refs, files, their status, git dirs and posts, and the leftover files."""
        hub, top = self.hub, self.hub.top.parent
        status = ("--no-optional-locks", "status", "--porcelain", "--untracked-files=all")
        entries = hub.top / ".git" / "worktrees"
        places = [hub.top, *(path for path in sorted(top.glob("project.hub/s1/*")))]
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
            "status": [hub.git(*status, cwd=directory) for directory in places],
            "entries": sorted(os.listdir(entries)) if entries.exists() else [],
            "posts": _posts(hub),
        }


def _posts(hub: Hub) -> set[str]:
    """Return the posts. A merge summary is cut before the actions of the last call."""
    posts = (hub.top / ".agenthub" / "board").glob("*/*.md")
    texts = [path.read_text().partition("---\n\n")[2] for path in posts]
    assert len([text for text in texts if _SUMMARY_TITLE in text]) <= 1
    return {text.partition("- **Archived**")[0] for text in texts}


def _check_history(state: dict[str, Any]) -> None:
    """Check that legal transitions lead from `init` to the state of the session."""
    current = "init"
    for step in state.get("history", ()):
        assert step["from"] == current
        assert step["to"] in _LEGAL[current]
        current = step["to"]
    assert state["state"] == current


def _check_work(hub: Hub) -> None:
    """Check that the work of agent-1 is in its worktree, in the trash, or under a rescue ref."""
    worktree = place(hub, 1)
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
    kept = [hub.git("show", f"{ref}{path}") for path in (":file", "^2:file", "^3:untracked")]
    assert kept == ["changed", "staged", "untracked"]


def check_result(ended: Result, action: str, where: str) -> None:
    """Assert that the command succeeded, printed an error, or ended by the signal or the kill."""
    if ended.code == 128 + 9:
        assert action in KILLS, where
    elif action in SIGNALS and ended.code:
        assert ended == Result(128 + SIGNALS[action]), (where, ended)
    elif ended.code:
        assert ended.code in (1, 128), (where, ended)
        assert ended.err.startswith(("error: ", "fatal: ", "Kept ", "warning: ")), (where, ended)
    assert "Traceback" not in ended.err, (where, ended)
