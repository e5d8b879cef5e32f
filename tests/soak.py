"""A long soak: random commands and random git, side by side on one repository; `make soak`.

In rounds: workers begin commands for some seconds, a process each; then all is quiet and
everything is looked at. The first thing that does not hold ends it with exit 1, and the
repository stays for a look. `SOAK_SEED` repeats what a run chose, though not how its processes met.
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
from tests.support.invariants import lost, whole

WORKERS = 4
ROUND = 5.0  # seconds in which something is begun
UNFINISHED = 5  # sessions

# What a command may say when it refuses; everything else is a fault.
EXPECTED = re.compile(
    r"(error|fatal): (session X (is (locked by process X|being evaluated|X, not X"
    r"|X: (there is nothing|it takes no more|its agents cannot))|became X meanwhile|has no agent's branch|has no agent worktrees)"
    r"|cannot go from X to X|no such agents?: X|no worktree: agent-X"
    r"|X has all that agent-X did|nobody of session X|X exists already"
    r"|agent-X (is still running|has made no attempt yet|is archived: it is not begun anew|has neither a branch nor an archive tag|has no branch)"
    r"|agent-X: (X exists already|its worktree X is missing|X: )|agent-X is incomplete|its branch moved meanwhile|X: its directory"
    r"|something of session X moved|another branch was checked out|the branch of .* moved while"
    r"|git (cannot update X, where X is checked out|does not move X))"
    r"|Kept worktree: X\n  (in use by|git was used|something was written|written into|its index is locked|its .git file|its directory went|its work cannot be saved)"
    r"|Kept branch: hubX: (moved meanwhile|checked out in a worktree|X exists and points|git refused: .* lock)"
)

# Writes a file that holds its own name, notes it, and commits it or not.
AGENT = """
name=token-$1-$(basename "$PWD"); echo $name >$name && echo "$PWD/$name" >>{journal}/tokens
test $2 = commit || exit 0
git add $name && git commit -q -m $name && git rev-parse HEAD >>{journal}/commits
"""

# What the doctor may find when all is quiet: what merge --no-cleanup and restore leave, …
ON_PURPOSE = {"worktree-of-finished"}

# What one does with a session where it stands; and what one may do by mistake.
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
        "cleanup",
        "restore",
        "archive",
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
    """Something that must not be."""


class Soak:
    """One repository, and what was done to it."""

    def __init__(self, top: Path, seed: int) -> None:
        self.hub = new_hub(top / "project", sealed_environment(top))
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
        self.said: Counter[str] = Counter()
        self.faults: list[str] = []
        self.odd: list[str] = []
        """What was said and is not expected: told in the end."""

    def round(self) -> None:
        """Workers side by side, then quiet, then the judgement; raises Fault, AssertionError."""
        self.rounds += 1
        until = time.monotonic() + ROUND
        workers = [
            threading.Thread(
                target=self.work, args=(Random(f"{self.seed} {self.rounds} {at}"), until)
            )
            for at in range(WORKERS)
        ]
        for worker in workers:
            worker.start()
        for worker in workers:
            worker.join()
        if self.faults:
            raise Fault("\n".join(self.faults))
        self.see_a_doctor()
        whole(self.hub, commits=self.noted("commits"))
        kept = [Path(token) for token in self.noted("tokens")]
        gone = lost(self.hub, [f"{one.name}\n" for one in kept if not self.is_given_up(one.parent)])
        if gone:
            raise Fault(f"lost: {gone}")

    def see_a_doctor(self) -> None:
        """What is found when all is quiet is mended, or is what was done on purpose."""
        self.hub.run("doctor", "--fix", now=None)
        left = self.hub.run("doctor", "--fix", "--format=json", now=None)
        findings = json.loads(left.out)["findings"]
        odd = [one for one in findings if one["fix"] or one["code"] not in ON_PURPOSE]
        if odd or json.loads(left.out)["in_use"]:
            raise Fault(f"the doctor: {odd} {left}")

    def noted(self, name: str) -> set[str]:
        return set((self.journal / name).read_text().split())

    def work(self, chance: Random, until: float) -> None:
        """One worker: half of what it does is git's."""
        while time.monotonic() < until and not self.faults:
            try:
                (self.command if chance.random() < 0.5 else self.git)(chance)
            except Exception as fault:  # noqa: BLE001 - it is told by who waits for the worker
                self.faults.append(f"{type(fault).__name__}: {fault}")

    def is_given_up(self, where: Path) -> bool:
        """Whether the soak itself threw away what was not committed there."""
        return where in self.deleted or where.parent.name.startswith("d")

    def sessions(self) -> list[str]:
        """The ids that there are, the newest first: most is done to what goes on."""
        directory = self.hub.top / ".agenthub" / "sessions"
        names = [name for name in os.listdir(directory)] if directory.exists() else []
        whole = [name for name in names if not name.startswith(".")]
        return sorted(whole, key=lambda name: -int(name[1:]))

    def worktrees(self) -> list[Path]:
        """Those that are whole: git resets what somebody stages in one that it still makes."""
        there = set((self.hub.top.parent / "project.hub").glob("*/agent-*"))
        agents = [
            agent for sid in self.sessions() for agent in self.hub.state(sid)["agents"].values()
        ]
        whole = {Path(agent["worktree"]) for agent in agents if agent.get("status") == "ready"}
        return sorted(there & whole)

    def command(self, chance: Random) -> None:
        """One command of ours, and whether it ended as one may."""
        known = self.sessions()[: UNFINISHED + 2]
        words = self.words(chance, chance.choice(known) if known else "s0", len(known))
        result = self.hub.run(*words, now=None)
        self.ends[f"{words[0]} {result.code}"] += 1
        if result.code not in (0, 1, 128, 129) or "Traceback" in result.err:
            self.faults.append(f"{words}: {result}")
        elif result.code:
            self.judge(words, result)

    def judge(self, words: list[str], result: Result) -> None:
        """Whether a command said why it refused, in words that are known."""
        lines = [
            line for line in result.err.splitlines() if line.startswith(("error: ", "fatal: "))
        ]
        lines += re.findall(r"^Kept branch: .*$|^Kept .*\n  .*$", result.out, re.MULTILINE)
        if not lines and words[0] not in ("exec", "eval", "doctor"):
            self.odd.append(f"{words} does not say why: {result}")
        for line in lines:
            line = re.sub(r"'[^']*'|\b[0-9a-f]{12,40}\b|[sd]\d+|/[^\s:]+|\d+", "X", line)
            self.said[f"{words[0]}: {line}"] += 1
            if not EXPECTED.search(line) and "SOAK_ANY" not in os.environ:
                self.odd.append(f"{words} says what is not expected: {result}")

    def words(self, chance: Random, sid: str, known: int) -> list[str]:
        """What is typed after `git hub-session`, about the session."""
        state = self.hub.state(sid)["state"] if known else "none"
        verb = chance.choice(ANY if known and chance.random() < 0.2 else NATURAL[state])
        agent = str(chance.randint(1, 3))
        maybe = partial(maybe_type, chance)

        match verb:
            case "init":
                # What is in the worktrees of a session d… may be thrown away.
                sid = f"{chance.choice('sssd')}{next(self.numbers)}"
                return [verb, "--id", sid, "--task", "t", "--agents", agent]
            case "spawn":
                return [verb, *maybe("--retry", agent), sid]
            case "exec":
                script = AGENT.format(journal=self.journal)
                end = chance.choice(["commit", "leave"])
                return [verb, sid, "--", "sh", "-c", script, "sh", str(next(self.numbers)), end]
            case "eval":
                ranking = ["--ranking", ",".join(chance.sample("123", int(agent)))]
                measured = ["--eval=echo score: $$", "--metric=score", "--direction=lower"]
                return [verb, *chance.choice([ranking, ranking, measured]), sid]
            case "merge":
                into = maybe("--into=release")
                return [verb, "--yes", *into, *maybe("--squash"), *maybe("--no-cleanup"), sid]
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
            case "list":
                return [verb]
            case _:
                return [verb, sid]

    def git(self, chance: Random) -> None:
        """What agents and people do with git meanwhile; that it fails now and then is their affair."""
        top, places = self.hub.top, self.worktrees()
        where = chance.choice([top, *places, *places])
        what = chance.choices(
            [
                "write",
                "commit",
                "commit -a",
                "branch",
                "pack-refs --all",
                "gc --auto --quiet",
                "worktree prune",
                "rm",
            ],
            [4, 6, 2, 2, 2, 1, 1, 0.3],
        )[0]
        if what == "rm":
            if where != top:
                self.deleted.add(where)
                shutil.rmtree(where, ignore_errors=True)
        elif what in ("write", "commit"):
            script = AGENT.format(journal=self.journal)
            self.hub.call(
                "sh",
                "-c",
                f'cd "$3" || exit\n{script}',
                "sh",
                f"g{next(self.numbers)}",
                what,
                where,
                now=None,
            )
        elif what == "branch":
            number = next(self.numbers)
            line = f"oid=$(git commit-tree -p main -m {number} main^{{tree}}) && git update-ref refs/heads/other/{number} $oid && echo $oid >>{self.journal}/commits"
            self.hub.call("sh", "-c", line, now=None)
        elif what == "commit -a":
            self.hub.call(
                "git", "-C", where, "commit", "-q", "--allow-empty", "-a", "-m", "x", now=None
            )
        else:
            self.hub.call("git", *what.split(), now=None)


def maybe_type(chance: Random, *words: str) -> list[str]:
    """Return the words in three of ten cases, and none in the others."""
    return [*words] if chance.random() < 0.3 else []


def main() -> int:
    seconds = float(os.environ.get("SOAK_SECONDS", "600"))
    seed = int(os.environ.get("SOAK_SEED", Random().randrange(1 << 32)))
    top = Path(mkdtemp(prefix="git-hub-session-soak-")).resolve()
    soak = Soak(top, seed)
    soak.hub.git("branch", "release")
    print(f"soak: {seconds:.0f} seconds, SOAK_SEED={seed}", flush=True)
    until = time.monotonic() + seconds
    try:
        while time.monotonic() < until:
            soak.round()
        if soak.odd:
            raise Fault("\n".join(soak.odd))
    except (Fault, AssertionError) as fault:
        print(f"soak: round {soak.rounds} of SOAK_SEED={seed}, see {top}:\n{fault}")
        return 1
    finally:
        print("\n".join(f"{times:6} {what}" for what, times in sorted(soak.said.items())))
        print(", ".join(f"{what}: {times}" for what, times in sorted(soak.ends.items())))
        commits, tokens = len(soak.noted("commits")), len(soak.noted("tokens"))
        print(
            f"soak: {soak.rounds} rounds, {sum(soak.ends.values())} commands, {commits} commits, {tokens} files; SOAK_SEED={seed}"
        )
    shutil.rmtree(top)
    return 0


if __name__ == "__main__":
    sys.exit(main())
