"""Somebody else was at work between two of our commands: nothing is a dead end, and what an error says to type works."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.hub import Hub, Result
from tests.support.interrupt import LONG

MEASURE = ("--eval", "cat file | wc -c | sed 's/^/n: /'", "--metric", "n", "--direction", "higher")
AGENT_1 = "hub/s1/agent-1/attempt-1"
MOST = 6  # errors in a row that each lead to the next


def place(hub: Hub, agent: int) -> Path:
    return hub.top.parent / "project.hub" / "s1" / f"agent-{agent}"


def begun(hub: Hub) -> Hub:
    """Two agents, who have committed something each, and have a file besides that is not committed."""
    hub.commit(hub.top, "early", "early\n")
    assert hub.run("init", "-q", "--id", "s1", "--task", "t", "--agents", "2", *MEASURE).code == 0
    assert hub.run("spawn", "-q", "s1") == Result(0)
    for agent in (1, 2):
        hub.commit(place(hub, agent), "file", "x\n" * 10 * agent)
        (place(hub, agent) / "new").write_text(f"{agent}\n")
    return hub


def typed(hint: str, words: tuple[str, ...]) -> list[str]:
    """The command line that a hint stands for, or the same command with the option that it names."""
    gone = hint.partition("if it is gone: ")[2]
    found = re.search(r"(?:^|: )((?:git|rm|mv|printf) .*?)(?:, or:? .*)?$", gone or hint)
    if found:
        return ["sh", "-c", found[1].replace("<agent>", "1")]
    if hint.endswith("with 'git hub-session init'"):
        return ["git", "hub-session", "init", "-q", "--task", "another"]
    if "use --force" in hint:
        return ["git", "hub-session", words[0], "--force", *words[1:]]
    if "choose another --path" in hint:
        return ["git", "hub-session", words[0], "--path", "../elsewhere-{id}-{n}", *words[1:]]
    if "with --base" in hint:
        return ["git", "hub-session", words[0], "--base", "release", *words[1:]]
    if "with --into" in hint:
        return ["git", "hub-session", words[0], "--into", "release", *words[1:]]
    if "without --retry" in hint:
        return ["git", "hub-session", "spawn", "s1"]
    if "check out another branch" in hint:
        return ["git", "checkout", "-q", "main"]
    return []


def to_the_end(hub: Hub, *words: str, left: int = MOST, told: Counter[str] | None = None) -> Result:
    """The command, once all that its errors say to type has been typed, their errors' too; it has to succeed then."""
    told = Counter() if told is None else told
    result = hub.run(*words)
    if result.code == 0:
        return result
    told["errors"] += 1
    assert left, result
    ways = [typed(hint, words) for hint in re.findall(r"hint: (.*)", result.out + result.err)]
    way = next(filter(None, ways), None)
    assert way, f"a dead end: {words}: {result}"
    told["hints"] += 1
    done = hub.call(*way)
    very = way[2] == words[0] or way[-1].startswith(
        (f"git hub-session {words[0]} ", "git hub-session update ")
    )
    if very and (done.code == 0 or way[0] != "sh"):
        return done  # it was the very command, or says that it was done by hand
    if done.code:
        again = re.match(r"git hub-session (.*)", way[-1])
        assert again, f"what was to be typed fails: {way}: {done}"
        to_the_end(hub, *shlex.split(again[1]), left=left - 1, told=told)
    return to_the_end(hub, *words, left=left - 1, told=told)


def edit(hub: Hub, change: Callable[[dict[str, Any]], object]) -> None:
    document = hub.state()
    change(document)
    (hub.directory() / "state.json").write_text(json.dumps(document))


def settings(hub: Hub, old: str, new: str) -> None:
    file = hub.directory() / "config.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def agent_1(hub: Hub, **said: object) -> None:
    edit(hub, lambda state: state["agents"].setdefault("agent-1", {}).update(said))


def only(hub: Hub, **said: object) -> None:
    edit(hub, lambda state: state.update(agents={"agent-1": said}))


def prune(hub: Hub, *agents: int) -> None:
    for agent in agents:
        shutil.rmtree(place(hub, agent))
    hub.git("worktree", "prune")


def delete_branches(hub: Hub, *agents: int) -> None:
    prune(hub, *agents)
    for agent in agents:
        hub.git("branch", "-q", "-D", f"hub/s1/agent-{agent}/attempt-1")


def swap(hub: Hub) -> None:
    hub.git("checkout", "-q", "--detach", cwd=place(hub, 1))
    hub.git("checkout", "-q", AGENT_1, cwd=place(hub, 2))


def detached_commit(hub: Hub) -> None:
    hub.git("checkout", "-q", "--detach", cwd=place(hub, 1))
    hub.commit(place(hub, 1), "more", "on no branch\n")


def moved_back(hub: Hub) -> None:
    """As a push by force leaves it: the base branch has not what the agents started from."""
    hub.git("reset", "-q", "--hard", "main~")


def base_gone(hub: Hub) -> None:
    moved_back(hub)
    edit(hub, lambda state: state.update(base_commit="0" * 39 + "1"))


def detached_and_deleted(hub: Hub) -> None:
    hub.git("checkout", "-q", "--detach")
    hub.git("branch", "-q", "-D", "main")


def middle_of_a_rebase(hub: Hub) -> None:
    hub.call("git", "rebase", "-q", "--exec", "false", "HEAD~", cwd=place(hub, 1))


Change = Callable[[Hub], object]

# What has been a dead end once, or is the likeliest of all; with what then has to be possible.
TRAPS: Mapping[str, Change] = {
    "rm -rf of a worktree": lambda hub: shutil.rmtree(place(hub, 1)),
    "rm -rf of all": lambda hub: shutil.rmtree(place(hub, 1).parent),
    "rm -rf, prune, branch -D": lambda hub: delete_branches(hub, 1, 2),
    "the branch deleted under its worktree": lambda hub: hub.git(
        "update-ref", "-d", f"refs/heads/{AGENT_1}"
    ),
    "another branch checked out": lambda hub: hub.git("checkout", "-qb", "mine", cwd=place(hub, 1)),
    "said to run": lambda hub: only(hub, status="running"),
    "said to be spawned": lambda hub: only(hub, status="spawning"),
    "said to be init": lambda hub: edit(hub, lambda state: state.update(state="init")),
    "the commit of the base is gone": base_gone,
}
OTHERS: Mapping[str, Change] = {
    "rm -rf, prune": lambda hub: prune(hub, 1),
    "git worktree remove": lambda hub: hub.git("worktree", "remove", "-f", place(hub, 1)),
    "git worktree move": lambda hub: hub.git(
        "worktree", "move", place(hub, 1), hub.top.parent / "m"
    ),
    "mv": lambda hub: shutil.move(place(hub, 1), hub.top.parent / "m"),
    "the entry deleted": lambda hub: shutil.rmtree(hub.top / ".git" / "worktrees" / "agent-1"),
    "detached": lambda hub: hub.git("checkout", "-q", "--detach", cwd=place(hub, 1)),
    "detached, with a commit": detached_commit,
    "HEAD cut off": lambda hub: (hub.top / ".git" / "worktrees" / "agent-1" / "HEAD").write_text(
        ""
    ),
    "swapped": swap,
    "the branch renamed": lambda hub: hub.git("branch", "-m", AGENT_1, "mine"),
    "locked": lambda hub: hub.git("worktree", "lock", place(hub, 1)),
    "a rebase in the middle": middle_of_a_rebase,
    "the base branch ahead": lambda hub: hub.commit(hub.top, "more", "more\n"),
    "the base branch back": moved_back,
    "the base branch deleted": detached_and_deleted,
    "HEAD detached": lambda hub: hub.git("checkout", "-q", "--detach"),
    "said to wait": lambda hub: agent_1(hub, status="waiting"),
    "said to run in a run that is over": lambda hub: agent_1(
        hub, status="running", exec={"run": "exec-9"}
    ),
    "said to be restored": lambda hub: agent_1(hub, status="restoring"),
    "said to be at another attempt": lambda hub: agent_1(hub, status="spawning", attempt=2),
    "said nonsense of": lambda hub: agent_1(
        hub, status=7, attempt="x", worktree=[], exec=[], work=1
    ),
    "said to be evaluating": lambda hub: edit(hub, lambda state: state.update(state="evaluating")),
    "no agents": lambda hub: edit(hub, lambda state: state.pop("agents")),
    "a list of agents": lambda hub: edit(hub, lambda state: state.update(agents=[])),
    "no history": lambda hub: edit(hub, lambda state: state.pop("history")),
    "no base commit": lambda hub: edit(hub, lambda state: state.pop("base_commit")),
    "a base commit that is none": lambda hub: edit(hub, lambda state: state.update(base_commit=5)),
    "no times": lambda hub: edit(hub, lambda state: [state.pop("created"), state.pop("updated")]),
    "a merge that is none": lambda hub: edit(hub, lambda state: state.update(merge=[])),
    "a merge that never was": lambda hub: edit(
        hub,
        lambda state: state.update(
            merge={"agent": 1, "attempt": 1, "tip": "f" * 40, "into": "main", "commit": "e" * 40}
        ),
    ),
    "more agents": lambda hub: settings(hub, "agent_count: 2", "agent_count: 3"),
    "fewer agents": lambda hub: settings(hub, "agent_count: 2", "agent_count: 1"),
    "the board deleted": lambda hub: shutil.rmtree(hub.top / ".agenthub" / "board"),
}


@pytest.mark.parametrize("what", [*TRAPS, *(OTHERS if LONG else ())])
def test_what_others_did_ends_in_a_merge_all_the_same(hub: Hub, what: str) -> None:
    """Whatever has to be typed on the way is said; nobody's committed work is lost."""
    begun(hub)
    tips = {hub.git("rev-parse", f"hub/s1/agent-{agent}/attempt-1") for agent in (1, 2)}
    {**TRAPS, **OTHERS}[what](hub)
    words: tuple[str, ...] = ("merge", "--yes", "s1")
    if "deleted" in what and "base" in what:
        words = ("merge", "--yes", "--into", "other", "s1")
        hub.git("branch", "other", hub.git("rev-parse", "HEAD"))
    assert hub.run("status", "s1").code == 0
    assert hub.run("list").code == 0
    if hub.state()["state"] != "evaluating":
        to_the_end(hub, "spawn", "s1")
    to_the_end(hub, "exec", "s1", "--", "true")
    to_the_end(hub, "eval", *MEASURE, "s1")
    if what == "rm -rf, prune, branch -D":  # nothing was left to merge, and new agents are at it
        assert hub.git("for-each-ref", "refs/heads/hub").count("\n") == 1
        to_the_end(hub, "archive", "s1")
        assert hub.state()["state"] == "archived"
        return
    to_the_end(hub, *words)
    assert hub.state()["state"] == "merged"
    reached = set(hub.git("rev-list", "--all", "--reflog").split())
    assert tips <= reached


@pytest.mark.parametrize("what", [*TRAPS, *(OTHERS if LONG else ())])
def test_what_others_did_ends_in_an_archive_all_the_same(hub: Hub, what: str) -> None:
    """What was not committed is saved or still there; then it comes back."""
    begun(hub)
    {**TRAPS, **OTHERS}[what](hub)
    to_the_end(hub, "cleanup", "s1")
    to_the_end(hub, "restore", "s1")
    to_the_end(hub, "archive", "s1")
    assert hub.state()["state"] == "archived"
    assert hub.run("status", "s1").code == 0
    assert hub.run("list").code == 0


@pytest.mark.parametrize("name", ["state.json", "config.yaml"])
@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe", None])
def test_a_file_of_the_session_is_destroyed(hub: Hub, name: str, content: bytes | None) -> None:
    """The error names the file; its worktrees can be cleaned up, and put right it goes on."""
    begun(hub)
    file = hub.directory() / name
    before = file.read_bytes()
    file.unlink()
    if content is not None:
        file.write_bytes(content)
    hints = f"hint: fix the file in '{hub.directory()}'\nhint: or: git hub-session cleanup s1\n"
    for words in ("status s1", "merge --yes s1", "exec s1 -- true", "archive s1", "restore s1"):
        result = hub.run(*words.split())
        assert (result.code, result.out) == (128, ""), result
        assert result.err.startswith(f"fatal: session 's1': {name}: "), result
        assert result.err.endswith(hints), result
    assert hub.run("list").code == 1
    cleaned = hub.run("cleanup", "s1")
    assert cleaned.code == 0, cleaned
    assert cleaned.out.count("bring it back: ") == 2
    file.write_bytes(before)
    assert hub.run("restore", "-q", "s1") == Result(0)
    assert [(place(hub, n) / "new").read_text() for n in (1, 2)] == ["1\n", "2\n"]


def test_what_was_noted_of_a_merge_that_was_taken_back(hub: Hub) -> None:
    """The base branch was reset behind a merge: the session says merged, and all that was merged is still there."""
    begun(hub)
    before = hub.git("rev-parse", "main")
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    assert hub.run("merge", "-q", "--yes", "--no-cleanup", "s1").code == 0
    hub.git("reset", "-q", "--hard", before)
    edit(hub, lambda state: state.update(state="evaluating"))
    assert to_the_end(hub, "merge", "--yes", "s1").code == 0
    assert hub.state()["state"] == "merged"
    assert hub.git("show", "main:file") == "x\n" * 19 + "x"


def test_off_a_terminal_the_same_merge_is_named(hub: Hub) -> None:
    """With all that was asked for, so that nobody else's work is merged by the line that is printed."""
    begun(hub)
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    words = ("--agent", "1", "--squash", "-m", "it's done", "--no-cleanup")
    refused = hub.run("merge", *words, "s1")
    line = "git hub-session merge --agent 1 -m 'it'\"'\"'s done' --squash --no-cleanup s1 --yes"
    assert refused.code == 1
    assert refused.err.endswith(
        f"error: cannot ask for confirmation: standard input is not a terminal (use --yes)\nhint: {line}\n"
    )
    assert hub.call("sh", "-c", line).code == 0
    assert hub.git("log", "-1", "--format=%s %p", "main").split()[:2] == ["it's", "done"]
    assert hub.git("show", "main:file") == "x\n" * 9 + "x"
    assert place(hub, 2).exists()


def test_one_of_our_runs_is_not_overruled(hub: Hub) -> None:
    begun(hub)
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    ready = hub.top.parent / "ready"
    command = ["git-hub-session", "exec", "-q", "--agents=1", "s1", "--"]
    with subprocess.Popen(
        [*command, "sh", "-c", f"touch {ready}; exec sleep 300"], cwd=hub.top, env=hub.environ
    ) as running:
        while not ready.exists():
            assert running.poll() is None
        refused = Result(1, "", "error: agent-1 is still running\nhint: wait for it, or end it\n")
        assert hub.run("exec", "--force", "s1", "--", "true") == refused
        assert hub.run("merge", "--force", "--yes", "s1") == refused
        running.terminate()
