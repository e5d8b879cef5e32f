"""A repository with sessions in all states, and files outside that must not change."""

from __future__ import annotations

import os
import shutil
import stat
from pathlib import Path

from tests.support.fork_server import Answer, ForkServer
from tests.support.hub import NOW, new_hub, sealed_environment
from tests.support.interrupt import Template

Stamps = dict[str, tuple[object, ...]]


SECRET = "nobody's business"
"""The content of the files outside the repository, which no command may print."""


class AttackRepository:
    """A repository, its worktrees, the user's home and the files outside, all in `base`."""

    def __init__(self, top: Path) -> None:
        self.base = top / "base"
        self.base.mkdir()
        self.hub = new_hub(self.base / "project", sealed_environment(self.base))
        self.project = self.hub.top
        self.store = self.project / ".agenthub"
        self.outside = self.base / "outside"
        self.remote = self.base / "remote.git"
        self.canary_file = top / "ran"
        """The file that exists if a command of the attacker has run."""
        output_directory = top / "answers"
        output_directory.mkdir()
        now = {"GIT_TEST_DATE_NOW": str(NOW)}
        self.server = ForkServer({**self.hub.environ, **now}, output_directory)

    @property
    def canary(self) -> str:
        """The command of the attacker. It creates the canary file."""
        return f"touch {self.canary_file}"

    def session(self, sid: str) -> Path:
        """Return the directory of a session."""
        return self.hub.directory(sid)

    def git_dir(self, name: str = "agent-1") -> Path:
        """Return the git dir of a worktree."""
        return self.project / ".git" / "worktrees" / name

    def worktree(self, sid: str = "s1", agent: int = 1) -> Path:
        """Return the worktree of an agent."""
        return self.base / "project.hub" / sid / f"agent-{agent}"

    def run(self, *arguments: str) -> Answer:
        """Run a command that must succeed."""
        answer = self.server.call(*arguments, cwd=self.project)
        assert answer.code == 0, answer
        return answer

    def build(self) -> None:
        """Create the sessions s1 to s4.

        s1 has two running agents, s2 is evaluated, s3 is archived with saved work, and s4 is new.
        The remote has the first commits of s1 and s2, and the session s5 that only it has.
        """
        for directory in ("plain", "plain/below"):
            (self.outside / directory).mkdir(parents=True)
            (self.outside / directory / "kept").write_text(f"{SECRET}\n")
        self.hub.git("init", "-q", self.outside / "repository")
        self._add_remote()
        self.hub.git("branch", "keep")
        self.hub.git("config", "hubsession.editor", "true")
        for sid, agents in (("s1", 2), ("s2", 1), ("s3", 1)):
            self.run(
                "init", "-q", "--id", sid, "--task", f"Make {sid} fast", "--agents", str(agents)
            )
            self.run("spawn", "-q", sid)
            for agent in range(1, agents + 1):
                path = self.worktree(sid, agent)
                self.hub.commit(path, f"work-{sid}-{agent}", "done\n")
                (path / "uncommitted").write_text("unsaved\n")
        self.run("push", "-q", "s1", "s2")
        for sid in ("s2", "s3"):
            self.run("eval", "-q", sid, "--ranking", "1")
        self.run("archive", "-q", "s3")
        self.run(
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
        self.run("exec", "-q", "s1", "--", "true")
        self.run("init", "-q", "--id", "s4", "--task", "t")
        self._clean = Template(self.hub, [self.base], "clean")

    def _add_remote(self) -> None:
        """Add a remote with the session s5, which this clone does not have."""
        self.hub.git("init", "-q", "--bare", self.remote)
        self.hub.git("remote", "add", "origin", self.remote)
        self.hub.git("push", "-q", "origin", "main")
        self.run("init", "-q", "--id", "s5", "--task", "t", "--agents", "1")
        self.run("push", "-q", "s5")
        self.run("delete", "-q", "s5")

    def save_planted_state(self) -> None:
        """Save the state with the attack, which `undo_changes` restores."""
        Template(self.hub, [self.base], "planted")

    def restore_clean_state(self) -> None:
        """Restore the state without the attack."""
        self._clean.restore()
        self.canary_file.unlink(missing_ok=True)

    def undo_changes(self, before: Stamps, after: Stamps) -> Stamps:
        """Restore the saved state of files whose stamps differ, and return the new stamps."""
        changed = {path for path in after if after[path] != before.get(path)}
        for path in sorted(changed, reverse=True):
            os.rmdir(path) if stat.S_ISDIR(os.lstat(path).st_mode) else os.unlink(path)
        for path in sorted(before):
            if path in changed or path not in after:
                _copy(f"{self.base}.planted{path.removeprefix(str(self.base))}", path)
        self.canary_file.unlink(missing_ok=True)
        return self.stamps()

    def stamps(self) -> Stamps:
        """Return the mode and inode of each path below `base`, and the size and times of each file."""
        stamps: Stamps = {}
        directories = [os.fspath(self.base)]
        for directory in directories:
            with os.scandir(directory) as entries:
                for entry in entries:
                    status = entry.stat(follow_symlinks=False)
                    if stat.S_ISDIR(status.st_mode):
                        directories.append(entry.path)
                        stamps[entry.path] = (status.st_mode, status.st_ino)
                    else:
                        times = (status.st_mtime_ns, status.st_ctime_ns)
                        stamps[entry.path] = (status.st_mode, status.st_ino, status.st_size, *times)
        return stamps


def _copy(source: str, path: str) -> None:
    """Copy a file, a link or a device, or create a directory without its content."""
    status = os.lstat(source)
    if stat.S_ISDIR(status.st_mode):
        os.mkdir(path)
    elif stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode):
        shutil.copy2(source, path, follow_symlinks=False)
    else:
        os.mknod(path, status.st_mode, status.st_rdev)
