"""Measure the speed of the command as ratios.

A measurement is a whole process. The two programs of a pair run in turn, and the median counts.

    python tests/bench.py [--peer PATH] [--before PROGRAM] [--quick] [--only NAME]...

PATH is AgentHub's session_manager.py. Without it, the rows that need it say "skipped". The
interpreter of the benchmark also runs AgentHub's script, and has git-hub-session installed.
PROGRAM is the git-hub-session of an earlier version. It adds a row for each measured row.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from functools import partial
from importlib.metadata import version
from pathlib import Path
from random import Random
from shlex import join
from statistics import median
from tempfile import TemporaryDirectory
from time import perf_counter
from typing import NamedTuple

import pexpect

from git_hub_session.ranking.ranking import Score, rank_scores
from tests.support.remotes import has_sshd, run_sshd

PYTHON = sys.executable
OURS = str(Path(sys.executable).parent / "git-hub-session")
STAMP = "2026-03-17T14:30:22.123456+00:00"
SID = "20260317-143022"


class Sizes(NamedTuple):
    """The sizes of the measured repositories, and the numbers of runs."""

    sessions: tuple[int, ...]
    agents: int
    worktrees: int
    files: int
    runs: int
    """Pairs of runs. Slow commands have fewer."""
    cleanups: int
    """Pairs of runs of the slowest commands."""
    merged: int
    """The files of the repository of the merge."""
    finished: int
    """The finished sessions with ten worktrees each, and the sessions that `doctor` fixes."""
    dirty: int
    """The worktrees with uncommitted changes."""
    branches: int
    """The branches of a session without worktrees."""
    far: int
    """The agents on which a worker on another host works."""


FULL = Sizes((3, 1_000, 10_000), 8, 100, 400, 41, 3, 20_000, 100, 200, 1_000, 20)
QUICK = Sizes((3, 50), 2, 3, 10, 3, 1, 100, 2, 12, 20, 2)


class Cost(NamedTuple):
    """The time and the memory of one run."""

    seconds: float
    peak: int  # kB of memory


class Row(NamedTuple):
    """A row of the table. `ours` and `theirs` are medians, or None if the row was skipped."""

    work: str
    against: str
    goal: float
    runs: int
    ours: float | None
    theirs: float | None
    unit: str = "ms"

    def __str__(self) -> str:
        if self.ours is None or self.theirs is None:
            return f"| {self.work} | {self.against} | {self.goal} | skipped | | | | |"
        ratio = self.ours / self.theirs
        verdict = "ok" if ratio <= self.goal else "MISSED"  # the goals hold for the full sizes
        digits = 0 if min(self.ours, self.theirs) > 100 else 1
        cells = (f"{self.ours:.{digits}f}", f"{self.theirs:.{digits}f}", self.unit, self.runs)
        return (
            f"| {self.work} | {self.against} | {self.goal} | {ratio:.2f} | {verdict} "
            f"| {cells[0]} / {cells[1]} {cells[2]} | {cells[3]} |"
        )


EVAL = "echo p50_ms: 7"
"""The command that measures."""

HEADER = """\
| work | against | goal | ratio | | ours / theirs | pairs |
|---|---|---|---|---|---|---|"""

Command = Sequence[str]
Prepare = Callable[[], object]


class Bench:
    """A temporary directory, isolated from the user's configuration."""

    def __init__(
        self, top: Path, sizes: Sizes, peer: Path | None, before: Path | None = None
    ) -> None:
        self.top = top
        self.sizes = sizes
        self.before = str(before) if before else ""
        self.our_costs: list[Cost] = []
        self.before_costs: list[Cost] = []
        """The costs of both versions in the last measurement."""
        self.peer = [PYTHON, str(peer)] if peer else None
        home = top / "home"
        home.mkdir()
        (home / ".gitconfig").write_text(
            "[user]\n\tname = Bench\n\temail = bench@example.com\n[init]\n\tdefaultBranch = main\n"
        )
        # PYTHONDONTWRITEBYTECODE, for example, would make every run compile the package again.
        removed = ("GIT_", "PYTHON")
        kept = {name: value for name, value in os.environ.items() if not name.startswith(removed)}
        self.environ = {**kept, "HOME": str(home), "XDG_CONFIG_HOME": str(home / ".config")}
        self.environ["GIT_CONFIG_NOSYSTEM"] = "1"

    def run(self, command: Command, cwd: Path) -> Cost:
        """Run one process that must succeed, without its output, and return its cost."""
        with open(os.devnull, "r+b") as nothing:
            start = perf_counter()
            process = subprocess.Popen(
                command, cwd=cwd, env=self.environ, stdin=nothing, stdout=nothing
            )
            _, status, used = os.wait4(process.pid, 0)
            seconds = perf_counter() - start
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            raise SystemExit(f"bench: exit code {process.returncode} from {' '.join(command)}")
        # On Linux a process starts with the peak of its parent, here about 20 MB. A smaller peak
        # cannot be measured.
        return Cost(seconds, used.ru_maxrss // (1024 if sys.platform == "darwin" else 1))

    def pairs(
        self,
        ours: Command,
        theirs: Command,
        cwd: Path,
        count: int,
        prepare: Prepare | None = None,
        *,
        is_new: bool = False,
        earlier: Command = (),
    ) -> tuple[list[Cost], list[Cost]]:
        """Run both commands and the earlier version in turn, and return the costs of each command.

        Args:
            prepare: called before each run and not measured.
            is_new: the earlier version does not have the command.
            earlier: the same work for the earlier version (default: the words of `ours`).
        """
        pairs: tuple[list[Cost], list[Cost]] = ([], [])
        self.before_costs = []
        measured = [(pairs[0], ours), (pairs[1], theirs)]
        if self.before and not is_new:
            words = [self.before if word == OURS else word for word in earlier or ours]
            measured.append((self.before_costs, words))
        for number in range(count + 1):
            for costs, command in measured:
                if prepare:
                    prepare()
                cost = self.run(command, cwd)
                if number:  # the first pair only warms the caches
                    costs.append(cost)
        self.our_costs = pairs[0]
        return pairs

    def git(self, *arguments: str, cwd: Path) -> None:
        """Run a git command that must succeed."""
        subprocess.run(
            ["git", *arguments], cwd=cwd, env=self.environ, check=True, capture_output=True
        )

    def text(self, *arguments: str, cwd: Path) -> str:
        """Return the only line that a git command prints."""
        command = ["git", *arguments]
        result = subprocess.run(command, cwd=cwd, env=self.environ, check=True, capture_output=True)
        return result.stdout.decode().strip()

    def repository(self, name: str, files: int) -> Path:
        """Create a repository with one commit of `files` small files, ten in a directory."""
        path = self.top / name
        path.mkdir()
        self.git("init", "-q", cwd=path)
        for number in range(files):
            file = path / f"d{number // 10}" / f"f{number}"
            file.parent.mkdir(exist_ok=True)
            file.write_text(f"file {number}\n" * 20)
        self.git("add", ".", cwd=path)
        self.git("commit", "-q", "-m", "base", cwd=path)
        return path

    def sessions(self, repository: Path, count: int) -> None:
        """Write `count` sessions in the way of AgentHub."""
        for number in range(count):
            sid = f"20260317-{number:06}" if number else SID
            directory = repository / ".agenthub" / "sessions" / sid
            directory.mkdir(parents=True)
            (directory / "config.yaml").write_text(
                f'session_id: {sid}\ntask: "Make request {number} answer below 100 ms"\n'
                f"agent_count: 3\nbase_branch: main\ncreated: {STAMP}\n"
                'eval_cmd: "pytest bench.py --json"\nmetric: p50_ms\ndirection: lower\n'
            )
            (directory / "state.json").write_text(_state(sid))

    def worktrees(self, repository: Path, count: int) -> None:
        """Create a worktree for each of `count` agents, on a branch at main."""
        paths = [
            repository.parent / f"{repository.name}-worktrees" / f"agent-{agent}"
            for agent in range(1, count + 1)
        ]
        for agent, path in enumerate(paths, start=1):
            # Do not add worktrees in parallel: git fails if it reads the incomplete git dir of another one.
            branch = f"hub/{SID}/agent-{agent}/attempt-1"
            add = ("worktree", "add", "-q", "--no-checkout", "-B", branch)
            self.git(*add, str(path), "main", cwd=repository)
        for path in paths:
            self.git("reset", "-q", "--hard", cwd=path)

    def rows(self, only: Sequence[str] = ()) -> Iterator[Row]:
        """Yield each row of the table when it is measured.

        Args:
            only: the names of the methods to call, or () for all.
        """
        lists = [partial(self.list_sessions, count) for count in self.sizes.sessions]
        singles = [
            self.update,
            self.status,
            self.status_of_worktrees,
            self.status_of_branches,
            self.completion,
            self.status_short,
            self.hook,
            self.watch,
            self.cleanup,
            self.spawn,
            self.archive,
            self.push,
            self.fetch,
            self.exec_on,
            self.evaluate,
            self.evaluate_in_place,
            self.rank,
            self.merge,
            self.cleanup_finished,
            self.doctor_fix,
        ]
        for measure in lists if not only or "list" in only else ():
            yield from measure()
        for single in singles:
            if not only or single.__name__ in only:
                row = single()
                yield row
                yield from self.before_rows(row)

    def before_rows(self, row: Row) -> Iterator[Row]:
        """Yield the row that compares the last measurement with the earlier version, if given."""
        if self.before_costs and row.ours is not None:
            yield _timed(row.work, "the earlier version", 1.05, self.our_costs, self.before_costs)

    def list_sessions(self, count: int) -> Iterator[Row]:
        goal = {3: 0.9, 1_000: 0.7}.get(count, 0.5)
        work, against = f"`list`, {count:,} sessions", "AgentHub, `--list`"
        memory = Row(f"memory of {work}", against, 1.2, 0, None, None, "MB")
        largest = count == max(self.sizes.sessions)
        if not self.peer:
            yield Row(work, against, goal, 0, None, None)
            if largest:
                yield memory
            return
        repository = self.repository(f"list-{count}", 10)
        self.sessions(repository, count)
        runs = self.sizes.runs if count < 5_000 else max(self.sizes.runs // 4, 3)
        ours, theirs = self.pairs([OURS, "list"], [*self.peer, "--list"], repository, runs)
        row = _timed(work, against, goal, ours, theirs)
        yield row
        yield from self.before_rows(row)
        if largest:
            peaks = [median(cost.peak for cost in costs) / 1024 for costs in (ours, theirs)]
            yield memory._replace(runs=runs, ours=peaks[0], theirs=peaks[1])

    def update(self) -> Row:
        work, against, goal = "`update`", "AgentHub, `--update`", 1.1
        if not self.peer:
            return Row(work, against, goal, 0, None, None)
        repository = self.repository("update", 10)
        self.sessions(repository, 3)
        state = repository / ".agenthub" / "sessions" / SID / "state.json"
        ours, theirs = self.pairs(
            [OURS, "update", SID, "--state", "running"],
            [*self.peer, "--update", SID, "--state", "running"],
            repository,
            self.sizes.runs,
            prepare=lambda: state.write_text(_state(SID)),
        )
        return _timed(work, against, goal, ours, theirs)

    def status(self) -> Row:
        agents, files = self.sizes.agents, 100
        repository = self.repository("status", files)
        self.sessions(repository, 3)
        self.worktrees(repository, agents)
        for agent in range(1, agents + 1):
            worktree = self.top / "status-worktrees" / f"agent-{agent}"
            (worktree / "d0" / "f1").write_text(f"by agent {agent}\n")
            self.git("commit", "-q", "-a", "-m", f"agent {agent}", cwd=worktree)
        ours, theirs = self.pairs(
            [OURS, "status", SID], [PYTHON, "-c", "import pygit2"], repository, self.sizes.runs
        )
        work = f"`status`, {agents} agents, worktrees of {files} files"
        return _timed(work, '`python -c "import pygit2"`', 1.3, ours, theirs)

    def completion(self) -> Row:
        count = 200
        repository = self.repository("completion", 10)
        self.sessions(repository, count)
        ours, theirs = self.pairs(
            [OURS, "completion", "--words", "--", "status", ""],
            [OURS, "list"],
            repository,
            self.sizes.runs,
            is_new=True,
        )
        return _timed(f"completion of an id, {count} sessions", "`list`", 1.5, ours, theirs)

    def status_short(self) -> Row:
        count = 3
        repository = self.repository("status-short", 10)
        self.sessions(repository, count)
        command = [OURS, "status", "--short", SID]
        ours, theirs = self.pairs(command, [OURS, "list"], repository, self.sizes.runs, is_new=True)
        return _timed(f"`status --short`, {count} sessions", "`list`", 1.3, ours, theirs)

    def hook(self) -> Row:
        """Measure the time that the guard takes to see that a transaction does not concern it."""
        count = 20
        repository = self.repository("hook", 10)
        self.run([OURS, "hooks", "install", "-q"], repository)
        script = [str(repository / ".git" / "hooks" / "reference-transaction")]
        if not os.path.exists(script[0]):  # git 2.54 and later run a command with a shell
            key = "hook.hub-session-reference-transaction.command"
            setting = self.text("config", key, cwd=repository)
            script = ["sh", "-c", f'{setting} "$@"', setting]
        (self.top / "updates").write_text(f"{'0' * 40} {'1' * 40} refs/heads/main\n")
        loop = f"for n in $(seq {count}); do %s <{self.top}/updates || exit; done"
        commands = [["sh", "-c", loop % command] for command in (join([*script, "prepared"]), ":")]
        ours, theirs = self.pairs(commands[0], commands[1], repository, self.sizes.runs)
        added = _timed("", "", 0, ours, theirs)
        assert added.ours is not None and added.theirs is not None
        milliseconds = (added.ours - added.theirs) / count
        work = "the hook `reference-transaction`, another branch"
        return Row(work, "3 ms", 1.0, added.runs, milliseconds, 3.0)

    def watch(self) -> Row:
        """Measure the processor time of ten refreshes, of which each finds one changed worktree."""
        self.before_costs = []
        count, refreshes = self.sizes.dirty, 10
        repository = self.repository("watch", 100)
        self.sessions(repository, 1)
        self.worktrees(repository, count)
        state = repository / ".agenthub" / "sessions" / SID / "state.json"
        state.write_text(_state(SID, "running"))
        times = [self._watch(repository, count, seconds) for seconds in (4, 4 + 2 * refreshes)]
        milliseconds = (times[1] - times[0]) * 1000 / refreshes
        work = f"`watch`, {count} worktrees, processor time of a refresh"
        return Row(work, "15 % of 2 seconds", 1.0, refreshes, milliseconds, 300.0)

    def _watch(self, repository: Path, count: int, seconds: int) -> float:
        """Return the processor time of the live view. A worktree changes every two seconds."""
        child = pexpect.spawn(
            OURS,
            ["watch", "--interval", "2s", SID],
            cwd=str(repository),
            env={**self.environ, "TERM": "xterm", "LC_ALL": "C.UTF-8"},
            dimensions=(40, 160),
        )
        for number in range(seconds // 2):
            worktree = self.top / "watch-worktrees" / f"agent-{1 + number % count}"
            (worktree / "new").write_text(f"{number}\n")
            assert child.expect([pexpect.TIMEOUT, pexpect.EOF], timeout=2) == 0, "watch has ended"
        before = os.times()
        child.sendintr()
        child.expect(pexpect.EOF, timeout=60)
        child.close()
        after = os.times()
        user = after.children_user - before.children_user
        return user + after.children_system - before.children_system

    def status_of_worktrees(self) -> Row:
        """Compare with two processes of git. Each worktree has a changed and an untracked file."""
        count, files = self.sizes.dirty, 100
        repository = self.repository("dirty", files)
        self.sessions(repository, 1)
        self.worktrees(repository, count)
        for agent in range(1, count + 1):
            worktree = self.top / "dirty-worktrees" / f"agent-{agent}"
            (worktree / "d0" / "f1").write_text(f"by agent {agent}\n")
            (worktree / "d0" / "new").write_text(f"by agent {agent}\n")
        each = "ls -d ../dirty-worktrees/* | xargs -P 2 -I{} git -C {} status --porcelain"
        runs = max(self.sizes.runs // 4, 3)
        ours, theirs = self.pairs([OURS, "status", SID], ["sh", "-c", each], repository, runs)
        work = f"`status`, {count} dirty worktrees of {files} files"
        return _timed(work, "`git status` in each, two workers", 1.0, ours, theirs)

    def status_of_branches(self) -> Row:
        """Compare branches of three commits with a base branch that has a new commit."""
        count = self.sizes.branches
        repository = self.repository("branches", 10)
        self.sessions(repository, 1)
        lines = []
        for agent in range(1, count + 1):
            ref = f"refs/heads/hub/{SID}/agent-{agent}/attempt-1"
            lines.append(f"reset {ref}\nfrom refs/heads/main^0\n")
            for number in range(3):
                lines.append(f"commit {ref}\ncommitter A <a@b> {agent} +0000\ndata 0\n")
                lines.append(f"M 644 inline new-{number}\ndata 3\nnew\n")
        importing = ["git", "fast-import", "--quiet"]
        stream = "".join(lines).encode()
        subprocess.run(importing, cwd=repository, env=self.environ, input=stream, check=True)
        self.git("commit", "-q", "--allow-empty", "-m", "the base moves", cwd=repository)
        loop = (
            f"for n in $(seq {count}); do git rev-list --left-right --count"
            f" main...hub/{SID}/agent-$n/attempt-1 || exit; done"
        )
        runs = max(self.sizes.runs // 4, 3)
        ours, theirs = self.pairs([OURS, "status", SID], ["sh", "-c", loop], repository, runs)
        work = f"`status`, {count:,} branches of 3 commits"
        return _timed(work, "`git rev-list --left-right --count` for each", 0.5, ours, theirs)

    def cleanup(self) -> Row:
        count, files = self.sizes.worktrees, self.sizes.files
        work = f"`cleanup`, {count} clean worktrees of {files} files"
        against, goal = "AgentHub, `--cleanup`", 0.6
        if not self.peer:
            return Row(work, against, goal, 0, None, None)
        repository = self.repository("cleanup", files)
        self.sessions(repository, 1)
        ours, theirs = self.pairs(
            [OURS, "cleanup", SID],
            [*self.peer, "--cleanup", SID],
            repository,
            self.sizes.cleanups,
            prepare=lambda: self.worktrees(repository, count),
        )
        return _timed(work, against, goal, ours, theirs)

    def spawn(self) -> Row:
        """Compare with a shell loop of `git worktree add`."""
        count, files = max(self.sizes.worktrees // 2, 2), self.sizes.files
        repository = self.repository("spawn", files)
        directory = self.top / "spawn.hub"
        path = directory / SID / "agent-$n"
        loop = (
            f"for n in $(seq {count}); do git worktree add -q --no-track"
            f" -b hub/{SID}/agent-$n/attempt-1 {path} main || exit; done"
        )

        def prepare() -> None:
            shutil.rmtree(directory, ignore_errors=True)
            shutil.rmtree(repository / ".agenthub", ignore_errors=True)
            self.git("worktree", "prune", cwd=repository)
            for agent in range(1, count + 1):
                self.git(
                    "update-ref",
                    "-d",
                    f"refs/heads/hub/{SID}/agent-{agent}/attempt-1",
                    cwd=repository,
                )
            init = (OURS, "init", "-q", "--id", SID, "--task", "t", "--agents", str(count))
            self.run(init, repository)

        ours, theirs = self.pairs(
            [OURS, "spawn", "-q", SID], ["sh", "-c", loop], repository, self.sizes.cleanups, prepare
        )
        work = f"`spawn`, {count} worktrees of {files} files"
        return _timed(work, "a loop of `git worktree add`", 0.7, ours, theirs)

    def archive(self) -> Row:
        """Compare with the commands of AgentHub's skill: three for each agent."""
        count, files = self.sizes.worktrees, 10
        repository = self.repository("archive", files)
        self.sessions(repository, 1)
        state = repository / ".agenthub" / "sessions" / SID / "state.json"
        loop = (
            f"for n in $(seq {count}); do b=hub/{SID}/agent-$n/attempt-1;"
            f" git tag hub/archive/{SID}/agent-$n $b &&"
            " git worktree remove ../archive-worktrees/agent-$n &&"
            " git branch -q -D $b || exit; done"
        )

        def prepare() -> None:
            self.worktrees(repository, count)
            tags = self.top / "tags"
            tags.write_text(
                "".join(
                    f"delete refs/tags/hub/archive/{SID}/agent-{n}\n" for n in range(1, count + 1)
                )
            )
            self.run(["sh", "-c", f"git update-ref --stdin <{tags}"], repository)
            state.write_text(_state(SID))

        ours, theirs = self.pairs(
            [OURS, "archive", SID], ["sh", "-c", loop], repository, self.sizes.cleanups, prepare
        )
        work = f"`archive`, {count} branches, worktrees of {files} files"
        against = "`git tag`, `git worktree remove` and `git branch -D` for each"
        return _timed(work, against, 0.3, ours, theirs)

    def shared(self, name: str) -> Path:
        """Create many sessions, and a remote with ten refs for each of them.

        One session is published. The others have records of the same commit on the remote.
        """
        repository = self.repository(name, 10)
        count = self.sizes.sessions[-1]
        self.sessions(repository, count)
        remote = self.top / f"{name}.git"
        self.git("clone", "-q", "--bare", str(repository), str(remote), cwd=self.top)
        self.git("remote", "add", "origin", str(remote), cwd=repository)
        tip = self.text("rev-parse", "main", cwd=repository)
        refs = sorted(
            f"refs/heads/hub/20260317-{number:06}/agent-{agent}/attempt-1"
            for number in range(1, count)
            for agent in range(1, 11)
        )
        for git_dir in (remote, repository / ".git"):
            lines = "".join(f"{tip} {ref}\n" for ref in [*refs, "refs/heads/main"])
            text = f"# pack-refs with: peeled fully-peeled sorted \n{lines}"
            (git_dir / "packed-refs").write_text(text)
        self.run([OURS, "push", "-q", "origin", SID], repository)
        return repository

    def change_shared(self, repository: Path) -> None:
        """Change the state of the published session, and a branch for the plain push."""
        state = repository / ".agenthub" / "sessions" / SID / "state.json"
        document = json.loads(state.read_text())
        step = {"at": STAMP, "from": "init", "to": "running", "by": str(perf_counter())}
        document["history"] = [*document.get("history", []), step]
        state.write_text(json.dumps(document, indent=2))
        tree = self.text("rev-parse", "main^{tree}", cwd=repository)
        message = str(perf_counter())
        commit = self.text("commit-tree", tree, "-p", "main", "-m", message, cwd=repository)
        self.git("branch", "-f", "plain", commit, cwd=repository)

    def push(self) -> Row:
        repository = self.shared("push")
        ours, theirs = self.pairs(
            [OURS, "push", "origin", SID],
            ["git", "push", "-q", "--force", "origin", "plain"],
            repository,
            self.sizes.runs // 4 + 1,
            lambda: self.change_shared(repository),
            is_new=True,
        )
        count = self.sizes.sessions[-1]
        work = f"`push` of one of {count} sessions, {10 * count} refs"
        return _timed(work, "`git push` of one branch", 4.0, ours, theirs)

    def fetch(self) -> Row:
        repository = self.shared("fetch")
        clone = self.top / "fetch-clone"
        self.git("clone", "-q", str(self.top / "fetch.git"), str(clone), cwd=self.top)
        self.run([OURS, "fetch", "-q", "origin", SID], clone)

        def prepare() -> None:
            self.change_shared(repository)
            self.run([OURS, "push", "-q", "origin", SID], repository)
            self.run(["git", "push", "-q", "--force", "origin", "plain"], repository)

        ours, theirs = self.pairs(
            [OURS, "fetch", "origin", SID],
            ["git", "fetch", "-q", "origin", "+refs/heads/plain:refs/plain"],
            clone,
            self.sizes.runs // 4 + 1,
            prepare,
            is_new=True,
        )
        count = self.sizes.sessions[-1]
        work = f"`fetch` of one of {count} sessions, {10 * count} refs"
        return _timed(work, "`git fetch` of one branch", 4.0, ours, theirs)

    def exec_on(self) -> Row:
        """Measure a worker that ssh starts, against the same work here, one clone and 0.3 s."""
        agents = self.sizes.far
        work, against = f"`exec --on` of {agents} agents, ssh", "`push`, `work`, a clone and 0.3 s"
        if not has_sshd():
            return Row(work, against, 1.0, 0, None, None)
        template, top, home = self.top / "far-template", self.top / "far", self.top / "far-home"
        template.mkdir()
        repository = self.repository("far-template/project", 100)
        self.run(
            [OURS, "init", "-q", "--id", SID, "--task", "x", "--agents", str(agents)], repository
        )
        self.git("clone", "-q", "--bare", str(repository), "../remote.git", cwd=repository)
        self.git("remote", "add", "origin", "../remote.git", cwd=repository)
        home.mkdir()
        shutil.copy(self.top / "home" / ".gitconfig", home)

        def prepare() -> None:
            for path in (top, home / ".cache"):
                shutil.rmtree(path, ignore_errors=True)
            shutil.copytree(template, top, symlinks=True)

        path = f"{Path(OURS).parent}:{self.environ['PATH']}"
        clone = "git clone -q ../remote.git ../clone && sleep 0.3"
        local = f"'{OURS}' push -q origin {SID} && '{OURS}' work -q {SID} -- true && {clone}"
        with run_sshd(self.top / "far-keys", {"HOME": str(home), "PATH": path}) as host:
            self.environ["GIT_SSH_COMMAND"] = host.command
            ours, theirs = self.pairs(
                [OURS, "exec", "-q", "--on", "ssh:far", SID, "--", "true"],
                ["sh", "-c", local],
                top / "project",
                self.sizes.cleanups,
                prepare,
                is_new=True,
            )
            del self.environ["GIT_SSH_COMMAND"]
        return _timed(work, against, 1.0, ours, theirs)

    def with_commits(self, name: str) -> Path:
        """Create a repository with a running session, each of whose agents has a commit."""
        repository = self.repository(name, 100)
        self.sessions(repository, 1)
        self.worktrees(repository, self.sizes.agents)
        for agent in range(1, self.sizes.agents + 1):
            worktree = self.top / f"{name}-worktrees" / f"agent-{agent}"
            self.git("commit", "-q", "--allow-empty", "-m", f"agent {agent}", cwd=worktree)
        state = repository / ".agenthub" / "sessions" / SID / "state.json"
        state.write_text(_state(SID, "running"))
        return repository

    def evaluate(self) -> Row:
        """Measure the time that `eval` adds to a shell loop that makes the same worktrees."""
        agents = self.sizes.agents
        repository = self.with_commits("eval")
        numbers = " ".join(map(str, range(1, agents + 1)))
        loop = (
            f"for n in {numbers}; do"
            f" git worktree add -q --detach ../eval-$n hub/{SID}/agent-$n/attempt-1;"
            f" (cd ../eval-$n && {EVAL}); git worktree remove ../eval-$n; done"
        )
        ours, theirs = self.pairs(
            [OURS, "eval", "-q", "--eval", EVAL, SID],
            ["sh", "-c", loop],
            repository,
            self.sizes.runs,
            is_new=True,
        )
        against = "15 ms more than its command, `git worktree add` and `git worktree remove`"
        return _added_time(f"`eval`, {agents} agents", against, agents, ours, theirs)

    def evaluate_in_place(self) -> Row:
        """Measure the time that `eval --in-place` adds to the same commands in the worktrees.

        The earlier version always measured in the worktrees of the agents.
        """
        agents = self.sizes.agents
        repository = self.with_commits("in-place")
        loop = f"for dir in ../in-place-worktrees/*; do (cd $dir && {EVAL}); done"
        words = ("eval", "-q", "--eval", EVAL, SID)
        ours, theirs = self.pairs(
            [OURS, *words, "--in-place"],
            ["sh", "-c", loop],
            repository,
            self.sizes.runs,
            earlier=[OURS, *words],
        )
        work = f"`eval --in-place`, {agents} agents"
        return _added_time(work, "15 ms more than its command", agents, ours, theirs)

    def rank(self) -> Row:
        """Rank 16 agents with 40 values each, in this process. Nearly all of them are a tie."""
        self.before_costs = []
        random = Random(SID)
        scores = [
            Score(agent, tuple(100 + agent + random.gauss(0, 1.5) for _ in range(40)), (1, 1))
            for agent in range(1, 17)
        ]
        seconds = []
        for _ in range(self.sizes.runs):
            start = perf_counter()
            rank_scores(scores, "lower")
            seconds.append(perf_counter() - start)
        milliseconds = median(seconds) * 1000
        return Row(
            "the ranking of 16 agents with 40 values each, in one process",
            *("50 ms", 1.0, len(seconds), milliseconds, 50.0),
        )

    def merge(self) -> Row:
        """Merge a winner with 20 changed files into the checked-out branch."""
        files = self.sizes.merged
        repository = self.repository("merge", files)
        self.sessions(repository, 1)
        self.git("checkout", "-q", "-b", f"hub/{SID}/agent-1/attempt-1", cwd=repository)
        for number in range(0, files, files // 20):
            (repository / f"d{number // 10}" / f"f{number}").write_text("by agent 1\n")
        self.git("commit", "-q", "-a", "-m", "agent 1", cwd=repository)
        self.git("checkout", "-q", "main", cwd=repository)
        base = ["reset", "-q", "--hard", self.text("rev-parse", "main", cwd=repository)]
        state = repository / ".agenthub" / "sessions" / SID / "state.json"

        def prepare() -> None:
            self.git(*base, cwd=repository)
            state.write_text(_state(SID, "evaluating"))

        ours, theirs = self.pairs(
            [OURS, "merge", "-q", "--yes", "--agent=1", SID],
            ["git", "merge", "-q", "--no-ff", "-m", "x", f"hub/{SID}/agent-1/attempt-1"],
            repository,
            self.sizes.runs,
            prepare,
        )
        work = f"`merge` of a winner, {files:,} files"
        return _timed(work, "`git merge --no-ff` in a checkout", 1.5, ours, theirs)

    def cleanup_finished(self) -> Row:
        """Compare a dry run over finished sessions with `git status` in each worktree."""
        count, each = self.sizes.finished, 10
        repository = self.repository("finished", 10)
        self.sessions(repository, count)
        top = self.top / "finished-worktrees"
        directories = sorted((repository / ".agenthub" / "sessions").iterdir())
        for directory in directories:
            (directory / "state.json").write_text(_state(directory.name, "archived"))
            for agent in range(1, each + 1):
                branch = f"hub/{directory.name}/agent-{agent}/attempt-1"
                path = str(top / directory.name / f"agent-{agent}")
                self.git("worktree", "add", "-q", "-b", branch, path, "main", cwd=repository)
        loop = f"for tree in {top}/*/*; do git -C $tree status --porcelain || exit; done"
        command = [OURS, "cleanup", "--finished", "-n"]
        ours, theirs = self.pairs(command, ["sh", "-c", loop], repository, self.sizes.cleanups)
        work = f"`cleanup --finished -n`, {count} sessions, {count * each:,} worktrees"
        return _timed(work, "`git status` in each worktree", 0.5, ours, theirs)

    def doctor_fix(self) -> Row:
        """Compare a fix in each session with a check. Both read all sessions."""
        count = self.sizes.finished
        repository = self.repository("doctor", 10)
        self.sessions(repository, count)

        def prepare() -> None:
            for directory in (repository / ".agenthub" / "sessions").iterdir():
                (directory / ".state.json.0.tmp").write_text("{")

        check = f"{OURS} doctor || test $? = 1"
        ours, theirs = self.pairs(
            [OURS, "doctor", "--fix"],
            ["sh", "-c", check],
            repository,
            self.sizes.cleanups,
            prepare,
        )
        work = f"`doctor --fix`, {count} sessions with one leftover file each"
        return _timed(work, "`doctor` of the same sessions", 3, ours, theirs)


def _state(sid: str, state: str = "init") -> str:
    document = {"session_id": sid, "state": state, "created": STAMP, "updated": STAMP, "agents": {}}
    return json.dumps(document, indent=2) + "\n"


def _timed(
    work: str, against: str, goal: float, ours: Sequence[Cost], theirs: Sequence[Cost]
) -> Row:
    mine, other = (median(cost.seconds for cost in costs) * 1000 for costs in (ours, theirs))
    return Row(work, against, goal, len(ours), mine, other)


def _added_time(
    work: str, against: str, agents: int, ours: Sequence[Cost], theirs: Sequence[Cost]
) -> Row:
    """Return the row of the time that our command adds for each agent, against 15 ms."""
    added = _timed("", "", 0, ours, theirs)
    assert added.ours is not None and added.theirs is not None
    for_each_agent = (added.ours - added.theirs) / agents
    work = f"{work}, time added for each agent"
    return Row(work, against, 1.0, added.runs, for_each_agent, 15.0)


def _machine() -> str:
    git = subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout
    return (
        f"{platform.system()} {platform.machine()}, {os.cpu_count()} CPUs; "
        f"Python {platform.python_version()}; {git.strip()}; "
        f"pygit2 {version('pygit2')}; PyYAML {version('PyYAML')}"
    )


def main() -> int:
    """Print the table, row by row."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--peer", type=Path, help="AgentHub's session_manager.py")
    parser.add_argument("--before", type=Path, help="the git-hub-session of an earlier version")
    parser.add_argument("--only", action="append", default=[], help="list, update, status, ...")
    parser.add_argument("--quick", action="store_true", help="measure small sizes only")
    options = parser.parse_args()
    peer: Path | None = options.peer
    if peer and not peer.is_file():
        print(f"bench: no such file: {peer}; the rows that need it are skipped", file=sys.stderr)
        peer = None
    print(f"{_machine()}\n\n{HEADER}", flush=True)
    with TemporaryDirectory(prefix="git-hub-session-bench-") as directory:
        top = Path(directory).resolve()
        sizes = QUICK if options.quick else FULL
        bench = Bench(top, sizes, peer.resolve() if peer else None, options.before)
        for row in bench.rows(options.only):
            print(row, flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
