"""`--holdout`: files that a measured worktree has only during the measurement."""

from __future__ import annotations

from pathlib import Path

from tests.support.hub import Hub, Result
from tests.support.measured_sessions import agent_worktree, count_worktrees

OPTIONS = ("--task=t", "--metric=ms", "--direction=lower", "--agents=2", "--id=s1")
# The command reads a holdout file and removes it: the next repetition has it again.
EVAL = "cat deep/hidden && rm deep/hidden && echo ms: $(wc -c <work)"
AGENT = """\
test ! -e deep || exit 9
echo $HUB_AGENT >work
test $HUB_AGENT = agent-2 || echo 1 >work
test $HUB_AGENT = agent-1 || { mkdir deep; echo mine >deep/hidden; }
"""
CHANGED = "warning: tracked file of agent-2 changed while the command ran: 'deep/hidden'\n"


def create_holdout(hub: Hub) -> Path:
    holdout = hub.top.parent / "holdout"
    (holdout / "deep").mkdir(parents=True)
    (holdout / "deep" / "hidden").write_text("secret\n")
    (holdout / "link").symlink_to("deep/hidden")
    (holdout / ".git").mkdir()
    (holdout / ".git" / "config").write_text("[core]\n\tfsmonitor = false\n")
    return holdout


def test_holdout_is_there_only_while_measuring(hub: Hub) -> None:
    """The holdout replaces the file of an attempt, and the attempt is marked."""
    create_holdout(hub)
    hub.commit(hub.top, "work", "0123456789\n")
    result = hub.run(
        *("run", *OPTIONS, "--eval", EVAL, "--repeat=2", "--holdout=../holdout", "--yes"),
        *("--warmup=1", "--prepare=test -L link", "--no-guard", "--agent-cmd", AGENT),
    )
    assert result == Result(0, result.out, CHANGED)
    limit = "Time limit for each measurement: 60 s (10 times the longest run of the baseline, at least 60 s)\n"
    assert f"Baseline: ms 11\n{limit}" in result.out
    assert "changed guarded path 'deep/hidden'" in result.out
    state = hub.state()
    results = [agent["result"] for agent in state["agents"].values()]
    assert [(each["metric"], each.get("guarded")) for each in results] == [
        (2, None),
        (8, ["deep/hidden"]),
    ]
    assert state["evaluation"]["holdout"]["paths"] == ["deep/hidden", "link"]
    assert len(state["evaluation"]["holdout"]["sha256"]) == 64
    assert "secret" not in (hub.directory() / "state.json").read_text()
    assert (count_worktrees(hub), (hub.top / "deep").exists()) == (1, False)


def test_refused_directories(hub: Hub) -> None:
    """The agents would see the files, or a link would copy other files of the user."""
    holdout = create_holdout(hub)
    empty, linked = hub.top.parent / "empty", hub.top.parent / "linked"
    empty.mkdir()
    linked.mkdir()
    (linked / "passwords").symlink_to("../outside")
    refused = {
        "sub": "git tracks 'sub/other': the agents would see it",
        "..": f"the repository is in '{hub.top.parent}'",
        "../empty": "'../empty' has no files",
        "../linked": f"'{linked}/passwords' points outside the holdout directory",
    }
    for directory, message in refused.items():
        result = hub.run("init", *OPTIONS, "--eval", EVAL, f"--holdout={directory}")
        assert (result.code, result.out, result.err.splitlines()[0]) == (1, "", f"error: {message}")
    result = hub.run("init", *OPTIONS, "--eval", EVAL, "--holdout=nowhere")
    assert result == Result(
        128, "", "fatal: no such directory: 'nowhere'\nhint: name another one with --holdout\n"
    )
    assert not (hub.top / ".agenthub").exists()
    (hub.top / ".git" / "info" / "exclude").write_text("/private/\n")
    (hub.top / ".worktreeinclude").write_text("/private/\n")
    (hub.top / "private").mkdir()
    (hub.top / "private" / "data").write_text("x\n")
    result = hub.run("init", *OPTIONS, "--eval", EVAL, "--holdout=private")
    assert result.err.splitlines()[0] == (
        "error: .worktreeinclude copies 'private/data': the agents would see it"
    )
    (hub.top / ".worktreeinclude").unlink()
    assert hub.run("init", "-q", *OPTIONS, "--eval", EVAL, "--holdout=../holdout").code == 0
    assert f"  Holdout: {holdout}\n" in hub.run("status", "s1").out
    hub.run("spawn", "-q", "s1")
    hub.commit(agent_worktree(hub, 1), "work", "1")
    in_place = hub.run("eval", "--in-place", "s1")
    assert (in_place.code, in_place.err) == (
        1,
        "error: --in-place would show the holdout files to the agents\nhint: leave out --in-place\n",
    )
    here = hub.run("eval", "--here", cwd=agent_worktree(hub, 1))
    assert (here.code, here.err.splitlines()[0]) == (
        1,
        "warning: an evaluation also has holdout files",
    )
    config = hub.directory() / "config.yaml"
    config.write_text(config.read_text().replace("/holdout", "/linked"))
    (linked / "passwords").unlink()
    (linked / "passwords").write_text("x\n")
    assert hub.run("eval", "s1") == Result(
        1,
        "",
        f"error: the holdout directory of session 's1' is not approved: '{linked}'\n"
        f"hint: git hub-session eval s1 --holdout {linked}\n",
    )
    for choice, is_approved in ((holdout, False), (linked, True)):
        assert "not approved" not in hub.run("eval", "s1", "--holdout", choice).err
        assert ("not approved" not in hub.run("eval", "s1").err) is is_approved


def test_own_time_limit_of_a_run(hub: Hub) -> None:
    """No limit replaces the proposed one, also in the commands that continue the run."""
    hub.commit(hub.top, "work", "0123456789\n")
    arguments = ("--eval", "echo ms: $(wc -c <work)", "--agent-cmd", "false", "--in-place")
    others = ("--timeout=none", "--allow-failures=1", "--baseline=none")
    result = hub.run("run", *OPTIONS, *arguments, *others)
    assert (result.code, "Time limit" in result.out) == (1, False)
    [line] = [line for line in result.err.splitlines() if " eval " in line]
    assert line.endswith("--allow-failures 1 --timeout none --in-place s1")
