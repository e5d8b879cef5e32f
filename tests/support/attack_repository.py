"""A repository with all that a session can have, and beside it what nobody may touch."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from tests.support.forked import Answer, Forked
from tests.support.hub import new_hub, sealed_environment
from tests.support.interrupt import Template

Stamps = dict[str, tuple[object, ...]]


SECRET = "nobody's business"
"""What a file outside says: a call that shows it has followed something there."""


class World:
    """`base` holds it all: the repository, the worktrees, the user's home, and what lies outside."""

    def __init__(self, top: Path) -> None:
        self.base = top / "base"
        self.base.mkdir()
        self.hub = new_hub(self.base / "project", sealed_environment(self.base))
        self.project = self.hub.top
        self.store = self.project / ".agenthub"
        self.outside = self.base / "outside"
        self.ran = top / "ran"
        """What a command makes that came with the repository."""
        answers = top / "answers"
        answers.mkdir()
        self.forked = Forked(self.hub.environ, answers)

    @property
    def canary(self) -> str:
        """A command that would be seen to have run."""
        return f"touch {self.ran}"

    def session(self, sid: str) -> Path:
        """Where a session's files are."""
        return self.hub.directory(sid)

    def entry(self, name: str = "agent-1") -> Path:
        """What git knows of a worktree."""
        return self.project / ".git" / "worktrees" / name

    def worktree(self, sid: str = "s1", agent: int = 1) -> Path:
        """Where an agent works."""
        return self.base / "project.hub" / sid / f"agent-{agent}"

    def do(self, *words: str) -> Answer:
        """A call that has to succeed."""
        answer = self.forked.call(*words, cwd=self.project)
        assert answer.code == 0, answer
        return answer

    def build(self) -> None:
        """s1: two agents at work; s2: evaluated; s3: archived, with work that can come back."""
        for directory in ("plain", "plain/below"):
            (self.outside / directory).mkdir(parents=True)
            (self.outside / directory / "kept").write_text(f"{SECRET}\n")
        self.hub.git("init", "-q", self.outside / "repository")
        self.hub.git("branch", "keep")
        for sid, agents in (("s1", 2), ("s2", 1), ("s3", 1)):
            self.do(
                "init", "-q", "--id", sid, "--task", f"Make {sid} fast", "--agents", str(agents)
            )
            self.do("spawn", "-q", sid)
            for agent in range(1, agents + 1):
                path = self.worktree(sid, agent)
                self.hub.commit(path, f"work-{sid}-{agent}", "done\n")
                (path / "uncommitted").write_text("unsaved\n")
        for sid in ("s2", "s3"):
            self.do("eval", "-q", sid, "--ranking", "1")
        self.do("archive", "-q", "s3")
        self.do(
            "board",
            "post",
            "results",
            "-q",
            "-m",
            "first",
            "--author",
            "agent-1",
            "--session",
            "s1",
        )
        self.do("exec", "-q", "s1", "--", "true")
        self._clean = Template(self.hub, [self.base], "clean")

    def plant(self) -> None:
        """As it is now it comes back after every call that changes it."""
        Template(self.hub, [self.base], "planted")

    def restore(self) -> None:
        """As it was before anything was planted."""
        self._clean.restore()
        self.ran.unlink(missing_ok=True)

    def mend(self, before: Stamps, after: Stamps) -> Stamps:
        """As it was planted, where it is different; how it is now."""
        changed = {path for path in after if after[path] != before.get(path)}
        for path in sorted(changed, reverse=True):
            os.rmdir(path) if stat.S_ISDIR(os.lstat(path).st_mode) else os.unlink(path)
        for path in sorted(before):
            if path in changed or path not in after:
                _copy(f"{self.base}.planted{path.removeprefix(str(self.base))}", path)
        self.ran.unlink(missing_ok=True)
        return self.stamps()

    def stamps(self) -> Stamps:
        """What would tell a change: of every name below `base`, all that the file system knows."""
        found: Stamps = {}
        directories = [os.fspath(self.base)]
        for directory in directories:
            with os.scandir(directory) as entries:
                for entry in entries:
                    seen = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(seen.st_mode):
                        directories.append(entry.path)
                        found[entry.path] = (seen.st_mode, seen.st_ino)
                    else:
                        times = (seen.st_mtime_ns, seen.st_ctime_ns)
                        found[entry.path] = (seen.st_mode, seen.st_ino, seen.st_size, *times)
        return found


def _copy(kept: str, path: str) -> None:
    """One name, whatever it is; what lies in a directory comes after it."""
    seen = os.lstat(kept)
    if stat.S_ISDIR(seen.st_mode):
        os.mkdir(path)
    elif stat.S_ISREG(seen.st_mode) or stat.S_ISLNK(seen.st_mode):
        shutil.copy2(kept, path, follow_symlinks=False)
    else:
        os.mknod(path, seen.st_mode, seen.st_rdev)
