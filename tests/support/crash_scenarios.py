"""The scenes in which something happens to a command, and what must hold whatever it was.

One world for all: strangers' branches (packed), a stranger's worktree with work in it, somebody's own files in
the main worktree, a second session. In it a session that is made, spawned, merged, ended or restored.
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
_HALF_MADE = re.compile(
    "error: worktrees/agent-[12]/HEAD: detached HEAD points at nothing"
    "|error: invalid worktrees/agent-[12]/HEAD"
    "|fatal: failed to read .git/worktrees/agent-[12]/commondir: (Success|No such file or directory)"
)
# Files for which git says "remove the file manually": only it can know of a git that still runs.
_NAMED = re.compile(r"(/[^' ]*(?:\.lock|packed-refs\.new))'?: File exists")
_GITS = re.compile(
    r"project/\.git/(refs/.*\.lock|(worktrees/[^/]*/)?(HEAD|index)\.lock|packed-refs\.(lock|new))"
)
_BOARD = "project/.agenthub/board/"
_LAWFUL = {
    "init": {"running"},
    "running": {"evaluating"},
    "evaluating": {"merged", "archived"},
}
_DONE = "Merge Summary"


class Scene(NamedTuple):
    """A command, and what there is when it is called."""

    words: tuple[str, ...]
    prepare: Callable[[Hub], None]
    calls: int
    """How many changes it makes at the least."""
    refusal: str = ""
    """What the same call says once the work is done; '': it succeeds again."""
    out: str = ""
    """What it prints."""


def place(hub: Hub, agent: int) -> Path:
    """Where an agent's worktree is."""
    return hub.top.parent / "project.hub" / "s1" / f"agent-{agent}"


def _nothing(_hub: Hub) -> None:
    """A repository without the session."""


def _made(hub: Hub) -> None:
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2").code == 0


def _spawned(hub: Hub) -> None:
    """Two agents that have committed; the first one has more that is not."""
    _made(hub)
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


def _evaluated(hub: Hub) -> None:
    _spawned(hub)
    assert hub.run("eval", "-q", "--ranking", "2,1", "s1") == Result(0)


def _archived(hub: Hub) -> None:
    _spawned(hub)
    assert hub.run("archive", "-q", "s1") == Result(0)


SCENES = {
    "init": Scene(
        ("init", "-q", "--id", "s1", "--task", "t", "--agents", "2"),
        _nothing,
        10,
        "error: session 's1' already exists\nhint: choose another --id\n",
        "s1\n",
    ),
    "update": Scene(
        ("update", "-q", "s1", "--state", "running"),
        _made,
        4,
        "error: cannot go from 'running' to 'running'\n"
        "hint: from 'running' a session can go to 'evaluating'\n",
    ),
    "post": Scene(("board", "post", "-q", "results", "-m", "a post"), _made, 6),
    "spawn": Scene(("spawn", "-q", "-j1", "s1"), _made, 70),
    "cleanup": Scene(("cleanup", "-q", "s1"), _spawned, 100),
    "cleanup --archive": Scene(("cleanup", "-q", "--archive", "s1"), _spawned, 130),
    "merge": Scene(("merge", "-q", "--yes", "s1"), _evaluated, 150),
    "merge --into": Scene(("merge", "-q", "--yes", "--into", "aside", "s1"), _evaluated, 140),
    "archive": Scene(("archive", "-q", "s1"), _spawned, 130),
    "restore": Scene(("restore", "-q", "s1"), _archived, 80),
}


class World:
    """A scene that can be played again and again, and what was in it before."""

    def __init__(self, hub: Hub, scene: Scene) -> None:
        self.hub = hub
        self.scene = scene
        self.report = hub.top.parent / "report"
        scratch = hub.top.parent / "scratch"
        self._strangers()
        scene.prepare(hub)
        places = [hub.top, hub.worktrees, hub.top.parent / "project.hub", scratch]
        for directory in places:
            directory.mkdir(exist_ok=True)
        hub.environ["TMPDIR"] = str(scratch)
        self._template = Template(hub, places)
        self.before = hub.refs()
        self.commits = self._commits(self.before)
        self.theirs = self._theirs()
        self.has_work = place(hub, 1).exists()
        self.tracked = self._tracked()
        self.tracked_then: dict[str, bytes] = {}
        self.restore()  # as before every other play: git takes copied files for touched ones
        assert self.play("none", 0) == Result(0, scene.out)
        self._calls = self.report.read_text().splitlines()
        self.end = self.outcome()
        assert self.end.pop("leftovers") == []
        self.tracked_then = self._tracked()
        self.restore()

    def _strangers(self) -> None:
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
        """As it was before the command."""
        self._template.restore()

    def calls(self, action: str) -> list[str]:
        """The calls of an undisturbed play that the action can befall."""
        return [call for call in self._calls if call.split()[1] not in spared(action)]

    def play(self, action: str, nth: int) -> Result:
        """The scene's command under the tracer."""
        words = (PYTHON, "-B", "-I", "-c", COMMAND, *self.scene.words)
        world = str(self.hub.top.parent)
        return self.hub.call(PYTHON, "-I", TRACER, self.report, world, action, str(nth), *words)

    def late(self) -> list[str]:
        """What was still changed when the command itself had ended."""
        lines = self.report.read_text().splitlines()
        return [line for line in lines if line.startswith("LATE ")]

    def call(self, *words: str) -> Result:
        """The command as it is, not through git: that is two processes less."""
        return self.hub.call(PYTHON, "-B", "-I", "-c", COMMAND, *words)

    def _commits(self, refs: Iterable[str]) -> set[str]:
        # Not --all, which asks the HEADs of worktrees too: of one that git was just making it is no commit yet.
        return set(self.hub.git("rev-list", "--stdin", stdin="\n".join(refs)).splitlines())

    def _tracked(self) -> dict[str, bytes]:
        """The files of the main worktree that a merge may move."""
        found = {name: self.hub.top / name for name in ("file", "more/new")}
        return {name: path.read_bytes() for name, path in found.items() if path.exists()}

    def _theirs(self) -> dict[str, bytes | str]:
        """What nobody but its owner may touch."""
        own = {name: (self.hub.top / name).read_bytes() for name in ("mine", "sub/other")}
        return {**own, **snapshot(self.hub.worktrees / "other")}

    def check(self) -> None:
        """What holds at every moment: every session reads, and nothing of anybody is lost."""
        hub = self.hub
        listed = json.loads(self.call("list", "--format=json").out)
        sids = {row["session_id"]: row for row in listed["sessions"]}
        assert sids.keys() - {"s1"} == {"s0"}
        assert not any(row.get("broken") for row in sids.values()), listed
        for sid in sids:
            _check_history(hub.state(sid))
        self._check_refs()
        assert self._theirs() == self.theirs
        if self.has_work:
            _check_work(hub)
        self._check_checkout()
        fsck = hub.call("git", "fsck", "--no-dangling", "--no-progress")
        for line in fsck.err.splitlines():
            assert _HALF_MADE.fullmatch(line), fsck

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
        """Each file of the main worktree is the old one, the new one, or one that git was just writing."""
        old, new = self.tracked, self.tracked_then
        assert (self.hub.top / ".git" / "HEAD").read_text() == "ref: refs/heads/main\n"
        for name, data in self._tracked().items():
            assert data == old.get(name) or new.get(name, b"").startswith(data), name

    def finish(self) -> int:
        """Call it again, and do what it says where it names a way out: it ends as if nothing had happened.

        How many of git's own lock files were in the way, or are left for git to name.
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
            told = self.call(*(word for word in self.scene.words if word != "-q"))
            named = set(_NAMED.findall(told.out + told.err))
            assert named, (again.out, again.err, told.out, told.err)
            assert "remove the file manually to continue" in told.out + told.err, told
            for lock in named:
                os.unlink(lock)
            count += len(named)
            assert count < 20, told
        now = self.outcome()
        left = now.pop("leftovers")
        left = [path for path in left if not path.startswith("scratch/")]  # as in every $TMPDIR
        of_git = [path for path in left if _GITS.fullmatch(path)]
        for path in of_git:
            (self.hub.top.parent / path).unlink()
        if any(path.startswith(_BOARD) for path in left):  # the next post takes it away
            assert self.call("board", "post", "-q", "results", "-m", "next") == Result(0)
            left = [path for path in left if not path.startswith(_BOARD) or self._is_there(path)]
        assert ([path for path in left if path not in of_git], now) == ([], self.end)
        return count + len(of_git)

    def _is_there(self, path: str) -> bool:
        return (self.hub.top.parent / path).exists()

    def outcome(self) -> dict[str, Any]:
        """How it ended: refs, states, files, what git says of them; and no leftovers of anybody."""
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
    """What is on the board; of a merge's summary not what the last call had left to do."""
    posts = (hub.top / ".agenthub" / "board").glob("*/*.md")
    texts = [path.read_text().partition("---\n\n")[2] for path in posts]
    assert len([text for text in texts if _DONE in text]) <= 1
    return {text.partition("- **Archived**")[0] for text in texts}


def _check_history(state: dict[str, Any]) -> None:
    """The steps are lawful, and lead to the state that it is in."""
    at = "init"
    for step in state.get("history", ()):
        assert step["from"] == at
        assert step["to"] in _LAWFUL[at]
        at = step["to"]
    assert state["state"] == at


def _check_work(hub: Hub) -> None:
    """What the first agent had not committed is in its worktree, whatever that is called, or under a ref."""
    where, entry = place(hub, 1), hub.top / ".git" / "worktrees" / "agent-1"
    for directory in (where, where.parent / ".agent-1.hub-trash"):
        texts = [directory / name for name in ("file", "untracked")]
        if entry.exists() and all(path.exists() for path in texts):
            staged = subprocess.run(
                ["git", f"--git-dir={entry}", "show", ":file"], capture_output=True, text=True
            )
            found = (texts[0].read_text(), staged.stdout, texts[1].read_text())
            assert found == ("changed\n", "staged\n", "untracked\n")
            return
    (ref,) = hub.refs("refs/hub/rescue/s1/agent-1")
    kept = [hub.git("show", f"{ref}{path}") for path in (":file", "^2:file", "^3:untracked")]
    assert kept == ["changed", "staged", "untracked"]
