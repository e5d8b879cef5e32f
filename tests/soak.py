"""The soak test: random commands and random git in parallel on one repository (`make soak`).

The test runs in rounds. Workers start commands for some seconds, each in a process. When all have
ended, the whole repository is checked. The first error ends the test with exit status 1 and keeps
the repository. `SOAK_SEED` repeats the random choices of a run, but not the timing of its processes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import sys
import threading
import time
from collections import Counter
from functools import partial
from itertools import count
from pathlib import Path
from random import Random
from tempfile import mkdtemp

from tests.support.hub import Result, new_hub, sealed_environment
from tests.support.invariants import check_repository, lost_contents

WORKERS = 4
ROUND = 5.0  # seconds in which the workers start commands
UNFINISHED = 5  # the number of sessions in use at one time

# The errors with which a command may refuse. Every other error is a fault. In the compared text,
# X stands for every name, path and number.
EXPECTED = re.compile(
    r"(error|fatal): (session X (is (locked by process X|being evaluated|X, not X"
    r"|X: (there is nothing|it accepts no more|its agents cannot|no session can start))|became X |has no agent branches|has no agent worktrees|already exists)"
    r"|cannot go from X to X|no such agent: X|no worktree: agent-X"
    r"|nothing to merge: X already contains|cannot fast-forward X|no agent (has a commit of its own|can be ranked|of session X)|cannot rank agent-X|X exists already"
    r"|agent-X+ (is still running|has no attempt yet|is archived|has neither a branch nor an archive tag|has no branch|has no commit of its own)"
    r"|X: (its administrative files|its \.git file is missing|the index is locked|another branch is checked out|HEAD points to no commit)|X is (locked|in the middle of)|agent-X+: (X exists already|fatal: X is a missing but already registered|its worktree X is missing|X: |no worktree|attempt-X( has no worktree| is archived|: its branch)|another branch is checked out)|X belongs to agent-X|agent-X has no worktree|(X moved|agent-X committed|agent-X made another attempt) since the evaluation|agent-X is incomplete|its branch moved|X: its directory"
    r"|session X or its branches changed|(the checkout of )?X changed|the branch of .* moved"
    r"|.*: the result of the merge was not measured|git cannot (update X, where X is checked out|move X))"
    r"|agent-X.*: kept .*\n  (in use by|exec-X+ is running|another branch is checked out|the evaluation|the administrative files changed|files changed|files were written|the index is locked|its .git file|the directory was removed|cannot save the work|cannot inspect the worktree: (No such file|its directory was removed))"
    r"|kept branch: (moved in the meantime|checked out in a worktree|X exists and points|git refused: .* lock)"
)

# An agent: write a file that contains its own name, record it in the journal, and maybe commit it.
AGENT = """
name=token-$1-$(basename "$PWD"); echo $name >$name && echo "$PWD/$name" >>{journal}/tokens
test $2 = commit || exit 0
git add $name && git commit -q -m $name && git rev-parse HEAD >>{journal}/commits
"""

# The findings that the doctor may report after a round: `merge --no-cleanup`, `restore` and agents
# that leave their branches cause them on purpose.
ON_PURPOSE = {"worktree-of-finished", "worktree-off-branch"}

# The commands that fit the state of a session. Every fifth command is a random one from ANY.
NATURAL = {
    "none": ["init"],
    "init": ["spawn", "spawn", "spawn", "status"],
    "running": [
        "exec",
        "exec",
        "exec",
        "spawn",
        "eval",
        "eval",
        "adopt",
        "cleanup",
        "restore",
        "restore",
        "board",
        "status",
        "log",
    ],
    "evaluating": [
        "merge",
        "merge",
        "merge",
        "eval",
        "exec",
        "adopt",
        "cleanup",
        "restore",
        "archive",
        "init",
        "list",
    ],
    "merged": ["init", "init", "cleanup", "restore", "status", "log"],
    "archived": ["init", "init", "cleanup", "restore", "status"],
}
ANY = [
    "init",
    "spawn",
    "exec",
    "eval",
    "merge",
    "update",
    "adopt",
    "cleanup",
    "archive",
    "restore",
    "list",
    "status",
    "log",
    "board",
    "doctor",
    "doctor",
]


class Fault(Exception):
    """A promise does not hold."""


class Soak:
    """One repository, and the record of all changes to it."""

    def __init__(self, top: Path, seed: int) -> None:
        self.hub = new_hub(top / "project", sealed_environment(top), through_git=True)
        self.hub.git("config", "gc.auto", "200")
        self.hub.git("config", "gc.autoDetach", "false")
        self.journal = top / "journal"
        self.journal.mkdir()
        (self.journal / "tokens").touch()
        (self.journal / "commits").touch()
        self.seed = seed
        self.rounds = 0
        self.numbers = count(1)
        self.deleted: set[Path] = set()
        self.ends: Counter[str] = Counter()
        self.errors: Counter[str] = Counter()
        self.faults: list[str] = []
        self.unexpected: list[str] = []
        """Unexpected errors, reported at the end."""

    def round(self) -> None:
        """Run the workers, and check the repository when they have ended.

        Raises Fault, AssertionError.
        """
        self.rounds += 1
        until = time.monotonic() + ROUND
        workers = [
            threading.Thread(
                target=self.work, args=(Random(f"{self.seed} {self.rounds} {worker}"), until)
            )
            for worker in range(WORKERS)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if self.faults:
            raise Fault("\n".join(self.faults))
        self.check_with_doctor()
        check_repository(self.hub, commits=self.recorded("commits"))
        tokens = [Path(token) for token in self.recorded("tokens")]
        expected = [f"{token.name}\n" for token in tokens if not self.is_discarded(token.parent)]
        missing = lost_contents(self.hub, expected)
        if missing:
            raise Fault(f"lost: {missing}")

    def check_with_doctor(self) -> None:
        """Check that `doctor --fix` leaves only findings that a command caused on purpose."""
        self.hub.run("doctor", "--fix", now=None)
        result = self.hub.run("doctor", "--fix", "--format=json", now=None)
        document = json.loads(result.out)
        unexpected = [finding for finding in document["findings"] if not self.is_expected(finding)]
        if unexpected or document["in_use"]:
            raise Fault(f"the doctor: {unexpected} {result}")

    def is_expected(self, finding: dict[str, str]) -> bool:
        """Return True if a command or `rm` of this test caused the finding on purpose.

        A process that writes at the same time can keep `rm` from removing the whole directory.
        """
        is_partial_rm = (
            finding["code"] == "worktree-damaged" and Path(finding["subject"]) in self.deleted
        )
        return not finding["fix"] and (finding["code"] in ON_PURPOSE or is_partial_rm)

    def recorded(self, name: str) -> set[str]:
        """Return the lines of a journal."""
        return set((self.journal / name).read_text().split())

    def work(self, chance: Random, until: float) -> None:
        """Run commands until a time. Half of them are git's."""
        while time.monotonic() < until and not self.faults:
            try:
                (self.command if chance.random() < 0.5 else self.git)(chance)
            except Exception as error:  # noqa: BLE001 - the main thread reports it
                self.faults.append(f"{type(error).__name__}: {error}")

    def is_discarded(self, worktree: Path) -> bool:
        """Return True if the test itself removed the uncommitted changes of the worktree."""
        return worktree in self.deleted or worktree.parent.name.startswith("d")

    def sessions(self) -> list[str]:
        """Return the ids of all sessions, the newest first."""
        directory = self.hub.top / ".agenthub" / "sessions"
        names = os.listdir(directory) if directory.exists() else []
        ids = [name for name in names if not name.startswith(".")]
        return sorted(ids, key=lambda name: -int(name[1:]))

    def worktrees(self) -> list[Path]:
        """Return the complete worktrees.

        While git creates a worktree, it resets the index. Staged changes would be lost.
        """
        existing = set((self.hub.top.parent / "project.hub").glob("*/agent-*"))
        agents = [
            agent for sid in self.sessions() for agent in self.hub.state(sid)["agents"].values()
        ]
        ready = {Path(agent["worktree"]) for agent in agents if agent.get("status") == "ready"}
        return sorted(existing & ready)

    def command(self, chance: Random) -> None:
        """Run one command of git hub-session, and check how it ended."""
        known = self.sessions()[: UNFINISHED + 2]
        arguments = self.arguments(chance, chance.choice(known) if known else "s0", len(known))
        result = self.hub.run(*arguments, now=None)
        self.ends[f"{arguments[0]} {result.code}"] += 1
        if result.code not in (0, 1, 128, 129) or "Traceback" in result.err:
            self.faults.append(f"{arguments}: {result}")
        elif result.code:
            self.check_error(arguments, result)

    def check_error(self, arguments: list[str], result: Result) -> None:
        """Check that a failed command printed an expected error."""
        lines = [
            line for line in result.err.splitlines() if line.startswith(("error: ", "fatal: "))
        ]
        lines += re.findall(r"^.*kept branch: .*$|^.*: kept .*\n  .*$", result.out, re.MULTILINE)
        # Several attempts of an agent share a line, and a line for each kept one follows.
        reasons = re.findall(r"^  attempt-\d+: (.*)$", result.out, re.MULTILINE)
        lines += [f"agent-1: kept 'path'\n  {reason}" for reason in reasons]
        if not lines and arguments[0] not in ("exec", "eval", "doctor"):
            self.unexpected.append(f"{arguments} failed without an error: {result}")
        for line in lines:
            line = re.sub(r"'[^']*'|\b[0-9a-f]{12,40}\b|[sd]\d+|/[^\s:]+|\d+", "X", line)
            self.errors[f"{arguments[0]}: {line}"] += 1
            if not EXPECTED.search(line) and "SOAK_ANY" not in os.environ:
                self.unexpected.append(f"{arguments} printed an unexpected error: {result}")

    def arguments(self, chance: Random, sid: str, known: int) -> list[str]:
        """Return random arguments of `git hub-session` for a session."""
        state = self.hub.state(sid)["state"] if known else "none"
        verb = chance.choice(ANY if known and chance.random() < 0.2 else NATURAL[state])
        agent = str(chance.randint(1, 3))
        maybe = partial(maybe_type, chance)

        match verb:
            case "init":
                return [verb, "--task", "t", "--agents", agent, *self.init_options(chance)]
            case "spawn":
                return [verb, *maybe("--retry", agent), sid]
            case "exec":
                script = AGENT.format(journal=self.journal)
                end = chance.choice(["commit", "leave"])
                return [
                    verb,
                    *maybe("--commit"),
                    *maybe("--failed"),
                    *maybe("--retries=1", "--retry-delay=0"),
                    sid,
                    "--",
                    "sh",
                    "-c",
                    script,
                    "sh",
                    str(next(self.numbers)),
                    end,
                ]
            case "eval":
                ranking = ["--ranking", ",".join(chance.sample("123", int(agent)))]
                measured = ["--eval=echo score: $$", "--metric=score", "--direction=lower"]
                return [verb, *chance.choice([ranking, ranking, measured]), sid]
            case "merge":
                into = maybe("--into=release")
                kind = maybe(chance.choice(["--squash", "--ff", "--rebase"]))
                return [verb, "--yes", *into, *kind, *maybe("--no-cleanup"), sid]
            case "adopt":
                return [verb, sid, f"agent-{agent}", *maybe(self.left_branch(chance))]
            case "update":
                states = ["running", "evaluating", "merged", "archived"]
                return [verb, "--state", chance.choice(states), *maybe("--if-state=running"), sid]
            case "cleanup":
                options = [*(maybe("--archive") and maybe("--archive")), *maybe("--force")]
                which = (
                    ["--finished", *maybe("--older-than=1s")] if chance.random() < 0.1 else [sid]
                )
                return [
                    verb,
                    *options,
                    *(maybe("--discard") if sid[0] == "d" and which == [sid] else []),
                    *which,
                ]
            case "restore":
                return [verb, *maybe("--agent", agent), sid]
            case "board":
                return [
                    verb,
                    "post",
                    chance.choice(["dispatch", "progress"]),
                    "-m",
                    "x",
                    "--session",
                    sid,
                ]
            case "doctor":
                return [verb, *maybe("--fix"), *maybe(sid)]
            case _:
                return [verb] if verb == "list" else [verb, sid]

    def init_options(self, chance: Random) -> list[str]:
        """Return a new id, and maybe the session to start from.

        The uncommitted changes of a session d... may be discarded.
        """
        sids = self.sessions()
        after = maybe_type(chance, "--after", chance.choice(sids)) if sids else []
        return ["--id", f"{chance.choice('sssd')}{next(self.numbers)}", *after]

    def left_branch(self, chance: Random) -> str:
        """Return a branch that an agent has made instead of its own, or main."""
        listed = self.hub.git("for-each-ref", "--format=%(refname:short)", "refs/heads/left")
        return chance.choice(listed.split() or ["main"])

    def git(self, chance: Random) -> None:
        """Run one git command of an agent or a user. It may fail."""
        top = self.hub.top
        worktrees = self.worktrees()
        directory = chance.choice([top, *worktrees, *worktrees])
        action = chance.choices(
            [
                "write",
                "commit",
                "commit -a",
                "branch",
                "pack-refs --all",
                "gc --auto --quiet",
                "worktree prune",
                "rm",
                "switch",
            ],
            [4, 6, 2, 2, 2, 1, 1, 0.3, 0.5],
        )[0]
        if action == "rm":
            if directory != top:
                self.deleted.add(directory)
                shutil.rmtree(directory, ignore_errors=True)
        elif action == "switch":  # an agent that leaves its branch
            if directory != top:
                branch = f"left/{next(self.numbers)}"
                self.hub.call("git", "-C", directory, "switch", "-q", "-c", branch, now=None)
        elif action in ("write", "commit"):
            script = AGENT.format(journal=self.journal)
            self.hub.call(
                "sh",
                "-c",
                f'cd "$3" || exit\n{script}',
                "sh",
                f"g{next(self.numbers)}",
                action,
                directory,
                now=None,
            )
        elif action == "branch":
            number = next(self.numbers)
            line = f"oid=$(git commit-tree -p main -m {number} main^{{tree}}) && git update-ref refs/heads/other/{number} $oid && echo $oid >>{self.journal}/commits"
            self.hub.call("sh", "-c", line, now=None)
        elif action == "commit -a":
            self.hub.call(
                "git", "-C", directory, "commit", "-q", "--allow-empty", "-a", "-m", "x", now=None
            )
        else:
            self.hub.call("git", *action.split(), now=None)


def maybe_type(chance: Random, *words: str) -> list[str]:
    """Return the words in three of ten cases, and none in the others."""
    return [*words] if chance.random() < 0.3 else []


def main() -> int:
    """Run rounds for SOAK_SECONDS, and print a summary."""
    seconds = float(os.environ.get("SOAK_SECONDS", "600"))
    seed = int(os.environ.get("SOAK_SEED", Random().randrange(1 << 32)))
    top = Path(mkdtemp(prefix="git-hub-session-soak-")).resolve()
    soak = Soak(top, seed)
    soak.hub.git("branch", "release")
    print(f"soak: {seconds:.0f} seconds, SOAK_SEED={seed}", flush=True)
    fault = find_fault(soak, time.monotonic() + seconds)
    print("\n".join(f"{number:6} {error}" for error, number in sorted(soak.errors.items())))
    print(", ".join(f"{end}: {number}" for end, number in sorted(soak.ends.items())))
    commits, tokens = len(soak.recorded("commits")), len(soak.recorded("tokens"))
    print(
        f"soak: {soak.rounds} rounds, {sum(soak.ends.values())} commands, {commits} commits, {tokens} files; SOAK_SEED={seed}"
    )
    # The last lines, because some CI services show only the end of the output.
    if fault:
        print(f"soak: round {soak.rounds} of SOAK_SEED={seed}, see {top}:\n{fault}")
        return 1
    shutil.rmtree(top)
    return 0


def find_fault(soak: Soak, until: float) -> str:
    """Run rounds until a time. Return the first fault, all unexpected errors, or ''."""
    try:
        while time.monotonic() < until:
            soak.round()
    except (Fault, AssertionError) as error:
        return str(error)
    return "\n".join(soak.unexpected)


if __name__ == "__main__":
    sys.exit(main())
