"""`eval` measures the merge with the base branch, and `merge` merges what was measured."""

from __future__ import annotations

import shlex

import pytest

from tests.support.cleanup import everything
from tests.support.evaluated_sessions import git_version, sign_with
from tests.support.hints import follow_hint, types
from tests.support.hub import Hub, Result
from tests.support.measured_sessions import (
    MEASURE,
    agent_worktree,
    create_measurable_session,
    recorded_ranks,
)

SUM = ("--eval", "echo ms: $(($(cat ms | tr -dc 0-9) + $(cat more 2>/dev/null || echo 0)))")


def result_of(hub: Hub, agent: int) -> dict[str, object]:
    result = hub.state()["agents"][f"agent-{agent}"]["result"]
    assert isinstance(result, dict)
    return result


def test_tip_is_measured_while_the_base_branch_has_not_moved(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n")
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    tip = hub.git("rev-parse", "hub/s1/agent-1/attempt-1")
    result = result_of(hub, 1)
    assert (result["commit"], result["tree"]) == (tip, hub.git("rev-parse", f"{tip}^{{tree}}"))


def test_merge_with_the_moved_base_branch_is_measured(hub: Hub) -> None:
    """The tree that `merge` creates is the measured tree. The baseline is the base branch too."""
    hub.commit(hub.top, "ms", "ms: 9\n")
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    moved = hub.commit(hub.top, "more", "100\n")
    before = hub.refs()
    arguments = (*MEASURE, *SUM, "--no-guard", "--baseline", "measure")
    assert hub.run("eval", "-q", *arguments, "s1") == Result(0)
    assert recorded_ranks(hub) == {"agent-1": (1, 101, ""), "agent-2": (2, 102, "")}
    evaluation = hub.state()["evaluation"]
    assert (evaluation["base"], evaluation["baseline"], hub.refs()) == (moved, 109, before)
    tree = result_of(hub, 1)["tree"]
    assert hub.git("diff", "--name-only", "main", str(tree)) == "ms"
    assert hub.run("eval", "-q", *arguments, "s1") == Result(0)
    assert result_of(hub, 1)["tree"] == tree
    assert hub.run("eval", "-q", "--ranking", "1", "s1") == Result(0)
    evaluations = hub.json("log", "--evaluations", "s1")["evaluations"]
    assert {entry["tree"] for entry in evaluations if entry["agent"] == 1} == {tree}
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert hub.git("rev-parse", "main^{tree}", "main^1") == f"{tree}\n{moved}"


def test_conflict_with_the_base_branch(hub: Hub) -> None:
    """The agent is not measured. The command in the note lets the user resolve the conflict."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    hub.git("reset", "-q", "--hard", "HEAD~", cwd=agent_worktree(hub, 2))
    hub.commit(agent_worktree(hub, 2), "other", "ms: 2\n")
    hub.commit(hub.top, "ms", "ms: 5\n")
    result = hub.run("eval", *MEASURE, "s1")
    command = 'dir=$(git hub-session path s1 agent-1) && git -C "$dir" merge main'
    assert (result.code, result.err) == (
        0,
        f"warning: agent-1 conflicts with 'main' in 'ms' (to resolve: {command})\n",
    )
    assert recorded_ranks(hub) == {
        "agent-2": (1, 5, ""),
        "agent-1": (2, None, "conflicts with 'main' in 'ms'"),
    }
    assert hub.run("status", "s1").out.count("conflicts with") == 1
    assert "tree" not in result_of(hub, 1)
    entries = hub.json("log", "--evaluations", "s1")["evaluations"]
    assert [entry["tree"] for entry in entries if entry["agent"] == 1] == [None]
    assert "CONFLICT (add/add): Merge conflict in ms" in hub.call("sh", "-c", command).out
    (agent_worktree(hub, 1) / "ms").write_text("ms: 3\n")
    hub.git("commit", "-qam", "resolved", cwd=agent_worktree(hub, 1))
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert recorded_ranks(hub)["agent-1"] == (1, 3, "")


def test_all_agents_conflict_with_the_base_branch(hub: Hub) -> None:
    """The hints of `merge` and `init --after` let the user resolve a conflict, then evaluate."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    hub.commit(hub.top, "ms", "ms: 5\n")
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 1
    refused = hub.run("merge", "--yes", "s1")
    command = 'dir=$(git hub-session path s1 agent-1) && git -C "$dir" merge main'
    problem = "no agent of session 's1' could be measured"
    assert refused == Result(
        1,
        "",
        f"error: {problem}: agent-1 conflicts with 'main' in 'ms'\nhint: {command}\n"
        "hint: resolve and commit the conflicts there, then: git hub-session eval s1\n",
    )
    assert hub.run("init", "--after", "s1") == refused
    assert "CONFLICT (add/add): Merge conflict in ms" in hub.call("sh", "-c", command).out
    (agent_worktree(hub, 1) / "ms").write_text("ms: 3\n")
    hub.git("commit", "-qam", "resolved", cwd=agent_worktree(hub, 1))
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 0
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert hub.git("show", "main:ms") == "ms: 3"


def test_no_agent_was_measured_and_the_second_one_conflicts(hub: Hub) -> None:
    """The conflict is named, although another agent without a metric ranks first."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    hub.git("reset", "-q", "--hard", "HEAD~", cwd=agent_worktree(hub, 1))
    hub.commit(agent_worktree(hub, 1), "other", "x\n")
    hub.commit(hub.top, "ms", "broken\n")
    assert hub.run("eval", "-q", *MEASURE, "s1").code == 1
    assert next(iter(recorded_ranks(hub).values())) == (1, None, "no 'ms' in the output")
    assert hub.run("merge", "--yes", "s1").err == (
        "error: no agent of session 's1' could be measured: agent-2 conflicts with 'main' in 'ms'\n"
        'hint: dir=$(git hub-session path s1 agent-2) && git -C "$dir" merge main\n'
        "hint: resolve and commit the conflicts there, then: git hub-session eval s1\n"
    )


def test_dry_run_names_the_conflict_and_writes_nothing(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    hub.commit(hub.top, "ms", "ms: 5\n")
    before = everything(hub)
    result = hub.run("eval", "-n", *MEASURE, "s1")
    assert result.out.count("conflicts with 'main' in 'ms'") == 2
    assert (result.err, everything(hub)) == ("", before)


def test_tips_without_a_common_history(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    worktree = agent_worktree(hub, 1)
    orphan = hub.git("commit-tree", "-m", "orphan", "HEAD^{tree}", cwd=worktree)
    hub.git("reset", "-q", "--hard", orphan, cwd=worktree)
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert recorded_ranks(hub) == {
        "agent-2": (1, 2, ""),
        "agent-1": (2, None, "cannot be merged: refusing to merge unrelated histories"),
    }


def test_measured_in_place_without_the_new_commits_of_the_base_branch(hub: Hub) -> None:
    """`merge` refuses, because the merge has another tree than the measured worktree."""
    create_measurable_session(hub, "ms: 1\n")
    hub.commit(hub.top, "more", "100\n")
    assert hub.run("eval", "-q", *MEASURE, *SUM, "--in-place", "s1") == Result(0)
    assert recorded_ranks(hub) == {"agent-1": (1, 1, "")}
    refs = hub.refs()
    assert hub.run("merge", "--yes", "s1") == Result(
        1,
        "",
        "error: the evaluation of agent-1 did not include 'main': the result of the merge was not"
        " measured\nhint: git hub-session eval s1\nhint: git hub-session merge --unmeasured --yes s1\n",
    )
    assert hub.refs() == refs
    warning = "the evaluation of agent-1 did not include 'main'"
    assert hub.json("merge", "-n", "--unmeasured", "s1")["remarks"] == [warning]
    merged = hub.run("merge", "--yes", "--unmeasured", "s1")
    assert (merged.code, merged.err) == (0, f"warning: {warning}\n")


def test_merge_driver_that_changed_since_the_evaluation(hub: Hub) -> None:
    """The base branch has not moved, and the merge has other files."""
    (hub.top / ".gitattributes").write_text("notes merge=d\n")
    hub.git("add", ".gitattributes")
    hub.commit(hub.top, "notes", "base\n")
    hub.git("config", "merge.d.driver", "true")
    create_measurable_session(hub, "ms: 1\n")
    hub.commit(agent_worktree(hub, 1), "notes", "agent\n")
    hub.commit(hub.top, "notes", "main\n")
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    hub.git("config", "merge.d.driver", "cp %B %A")
    refused = hub.run("merge", "--yes", "s1")
    reason = "a merge of agent-1 into 'main' has other files than the measured one"
    error = f"error: {reason}: the result of the merge was not measured\n"
    assert (refused.code, refused.err.startswith(error)) == (1, True)
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert hub.run("merge", "-q", "--yes", "s1").code == 0


def test_base_branch_that_moves_during_the_evaluation(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n")
    base = hub.git("rev-parse", "main")
    command = f"git -C {hub.top} commit -q --allow-empty -m later; cat ms"
    result = hub.run("eval", *MEASURE, "--eval", command, "s1")
    assert (result.code, result.err) == (0, "warning: 'main' moved during the evaluation\n")
    assert hub.state()["evaluation"]["base"] == base
    refused = hub.run("merge", "--yes", "s1")
    assert refused.err.startswith("error: 'main' moved since the evaluation: ")
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)


@types("git -c {} hub-session eval {}")
@pytest.mark.parametrize(
    ("options", "metric"),
    [("-X theirs", 1), ("-Xours", 5), ("--no-ff --strategy-option=theirs -s ort", 1)],
)
def test_strategy_options_of_the_base_branch(hub: Hub, options: str, metric: int) -> None:
    """A git since 2.43 measures the tree that `merge` creates. An older one measures no agent.

    The command in the warning measures the merge that `merge` then makes without the options.
    """
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    hub.commit(hub.top, "ms", "ms: 5\n")
    hub.commit(agent_worktree(hub, 1), "extra", "x\n")  # the merge changes something
    hub.commit(agent_worktree(hub, 2), "other", "x\n")
    hub.git("reset", "-q", "--soft", "HEAD~2", cwd=agent_worktree(hub, 2))
    hub.git("reset", "-q", "ms", cwd=agent_worktree(hub, 2))
    hub.git("commit", "-q", "-m", "other", cwd=agent_worktree(hub, 2))
    hub.git("config", "branch.main.mergeOptions", options)
    result = hub.run("eval", *MEASURE, "s1")
    if git_version(hub) >= (2, 43):
        assert (result.code, result.err) == (0, "")
        assert recorded_ranks(hub)["agent-1"][1:] == (metric, "")
        follow_hint("git -c x= hub-session eval s1")  # only an older git needs it
        merge: tuple[str, ...] = ("hub-session", "merge", "-q", "--yes", "--agent=1", "s1")
    else:
        setting = "branch.main.mergeoptions"
        problem = f"cannot be merged: {setting}='{options}' needs git 2.43"
        command = f"git -c {setting}= hub-session eval s1"
        lines = [f"warning: agent-{n} {problem} (without it: {command})\n" for n in (1, 2)]
        assert (result.code, result.err) == (1, "".join(lines))
        assert {row[1:] for row in recorded_ranks(hub).values()} == {(None, problem)}
        assert hub.call("sh", "-c", f"{command} {' '.join(map(repr, MEASURE))}").code == 0
        follow_hint(command)
        assert recorded_ranks(hub)["agent-2"] == (1, 5, "")
        assert recorded_ranks(hub)["agent-1"][2] == "conflicts with 'main' in 'ms'"
        merge = ("-c", f"{setting}=", "hub-session", "merge", "-q", "--yes", "s1")
    tree = result_of(hub, 1 if git_version(hub) >= (2, 43) else 2)["tree"]
    assert hub.call("git", *merge).code == 0
    assert hub.git("rev-parse", "main^{tree}") == tree


@types("git -c {} hub-session eval {}")
@pytest.mark.parametrize("is_moved", [True, False])
@pytest.mark.parametrize(
    ("name", "value", "replacement"),
    [
        ("branch.main.mergeoptions", "--no-edit -s ours", ""),
        ("branch.main.mergeoptions", "-s ort --strategy=octopus", ""),
        ("branch.main.mergeoptions", "'open", ""),
        ("pull.twohead", "ours", "ort"),
    ],
)
def test_strategy_that_merge_refuses(
    hub: Hub, name: str, value: str, replacement: str, is_moved: bool
) -> None:
    """The measured merge would not be the one that `merge` makes: it makes none."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    if is_moved:
        hub.commit(hub.top, "later", "x\n")
    hub.git("config", name, value)
    result = hub.run("eval", *MEASURE, "s1")
    problem = f"cannot be merged with {name}='{value}'"
    command = f"git -c {name}={replacement} hub-session eval s1"
    lines = [f"warning: agent-{n} {problem} (without it: {command})\n" for n in (1, 2)]
    assert (result.code, result.err) == (1, "".join(lines))
    assert {row[1:] for row in recorded_ranks(hub).values()} == {(None, problem)}
    assert hub.call("sh", "-c", f"{command} {' '.join(map(repr, MEASURE))}").code == 0
    follow_hint(command)
    assert recorded_ranks(hub)["agent-1"] == (1, 1, "")
    refused = hub.run("merge", "--yes", "s1")
    assert refused.err.startswith(f"error: cannot merge with {name}='{value}'\n")


@types("git -c {} hub-session merge {}")
@pytest.mark.parametrize(
    ("name", "value", "replacement"),
    [
        ("branch.main.mergeoptions", "--no-commit", ""),
        ("branch.main.mergeoptions", "--ff-only --new-option --no-ff", ""),
        ("branch.main.mergeoptions", "--cleanup=none", ""),
        ("branch.main.mergeoptions", "-X", ""),
        ("commit.cleanup", "none", "default"),
    ],
)
def test_option_that_merge_refuses(hub: Hub, name: str, value: str, replacement: str) -> None:
    """The merge has the measured tree, so the agents are measured, with a warning before it."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    hub.git("config", name, value)
    command = f"git -c {name}={replacement} hub-session merge s1"
    warning = f"warning: merge refuses {name}='{value}' (without it: {command})\n"
    seen = hub.top.parent / "seen"
    measure = ("--eval", f"test -e {seen} || cp {hub.top.parent}/err {seen}; cat ms")
    words = " ".join(shlex.quote(word) for word in (*MEASURE, *measure, "s1"))
    result = hub.call("sh", "-c", f"git hub-session eval {words} 2>../err")
    assert (result.code, seen.read_text()) == (0, warning), result
    assert recorded_ranks(hub) == {"agent-1": (1, 1, ""), "agent-2": (2, 2, "")}
    assert hub.run("eval", "-q", "-n", *MEASURE, "s1").err == warning
    assert hub.run("eval", "-q", "--ranking", "1,2", "s1").err == ""
    assert hub.run("merge", "--yes", "s1").code == 1
    assert hub.call("sh", "-c", f"{command} --yes").code == 0
    follow_hint(command)
    assert hub.git("rev-parse", "main^{tree}") == result_of(hub, 1)["tree"]


@pytest.mark.parametrize(
    "options", ["--no-commit --ff-only", "--squash --log=3 -e -q --cleanup=strip -X ours"]
)
def test_options_that_merge_follows(hub: Hub, options: str) -> None:
    """A fast-forward creates no commit. -X changes no merge of a tip that contains the branch."""
    create_measurable_session(hub, "ms: 1\n")
    hub.git("config", "branch.main.mergeOptions", options)
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert hub.git("show", "main:ms") == "ms: 1"


def test_strategy_without_a_merge_commit(hub: Hub) -> None:
    """`merge` fast-forwards, so the strategy does not count."""
    create_measurable_session(hub, "ms: 1\n")
    hub.git("config", "pull.twohead", "ours")
    hub.git("config", "merge.ff", "only")
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert hub.git("show", "main:ms") == "ms: 1"


def test_strategy_options_of_a_merged_baseline(hub: Hub) -> None:
    """The agents start from a winner that is merged with the base branch."""
    create_measurable_session(hub, "ms: 1\n")
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert hub.run("init", "-q", "--after", "s1", "--id", "s2").code == 0
    hub.run("spawn", "-q", "s2")
    hub.commit(hub.top, "ms", "ms: 5\n")
    agent = agent_worktree(hub, 1, "s2")
    hub.git("merge", "-q", "-X", "ours", "-m", "merged", "main", cwd=agent)
    hub.git("config", "branch.main.mergeOptions", "-X theirs")
    result = hub.run("eval", "-q", *MEASURE, "--baseline", "measure", "s2")
    if git_version(hub) >= (2, 43):
        assert result == Result(0)
        assert hub.state("s2")["evaluation"]["baseline"] == 1
        return
    assert result == Result(
        1,
        "",
        "error: cannot measure the baseline: the merge with 'main':"
        " branch.main.mergeoptions='-X theirs' needs git 2.43\n"
        "hint: give a number with --baseline <number>\n",
    )
    assert hub.run("eval", "-q", *MEASURE, "--baseline", "5", "s2") == Result(0)


def test_settings_of_the_worktree_with_the_base_branch(hub: Hub) -> None:
    """As `git merge`, `eval` and `merge` read the settings of the worktree that they merge into."""
    hub.commit(hub.top, "old/a", "a\nb\nc\n")
    hub.commit(hub.top, "notes", "base\n")
    create_measurable_session(hub, "ms: 1\n")
    agent = agent_worktree(hub, 1)
    hub.commit(agent, "notes", "agent\n")
    hub.commit(agent, "old/b", "new\n")
    hub.git("config", "extensions.worktreeConfig", "true")
    hub.git("switch", "-q", "--detach")
    linked = hub.top.parent / "linked"
    hub.git("worktree", "add", "-q", linked, "main")
    (linked / ".gitattributes").write_text("notes merge=d\n")
    hub.git("add", ".gitattributes", cwd=linked)
    hub.git("mv", "old", "renamed", cwd=linked)
    hub.commit(linked, "notes", "main\n")
    hub.git("config", "--worktree", "merge.d.driver", "cp %B %A", cwd=linked)
    hub.git("config", "--worktree", "merge.directoryRenames", "true", cwd=linked)
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    tree = result_of(hub, 1)["tree"]
    files = hub.git("ls-tree", "-r", "--name-only", str(tree)).split("\n")
    assert (hub.git("show", f"{tree}:notes"), "renamed/b" in files) == ("agent", True)
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert hub.git("rev-parse", "main^{tree}") == tree
    hub.git("reset", "-q", "--hard", "main^1", cwd=linked)
    tip = hub.git("rev-parse", "main@{1}^2")
    hub.git("merge", "-q", "--no-edit", tip, cwd=linked)
    assert hub.git("rev-parse", "main^{tree}") == tree


@pytest.mark.parametrize(
    ("setting", "value"),
    [("merge.verifySignatures", "true"), ("branch.main.mergeOptions", "--verify-signatures")],
)
def test_winner_without_a_signature(hub: Hub, setting: str, value: str) -> None:
    """The agents are measured, and a note names each agent that `merge` refuses."""
    create_measurable_session(hub, "ms: 1\n", "ms: 2\n")
    allowed = hub.top.parent / "allowed"
    allowed.write_text(sign_with(hub, "key"))
    hub.git("config", "--global", "gpg.ssh.allowedSignersFile", allowed)
    hub.git("commit", "-q", "--amend", "--no-edit", "-S", cwd=agent_worktree(hub, 2))
    hub.git("config", setting, value)
    refusal = "the last commit of agent-1 has no valid signature"
    result = hub.run("eval", "-q", *MEASURE, "s1")
    assert result == Result(
        0, "", f"warning: {refusal} (merge refuses it: merge.verifySignatures)\n"
    )
    assert recorded_ranks(hub) == {"agent-1": (1, 1, ""), "agent-2": (2, 2, "")}
    assert hub.run("merge", "--yes", "s1").err.startswith(f"error: {refusal}")
    assert hub.run("merge", "-q", "--yes", "s1", "--agent", "2") == Result(0)


def test_signatures_that_the_branch_does_not_need(hub: Hub) -> None:
    create_measurable_session(hub, "ms: 1\n")
    hub.git("config", "merge.verifySignatures", "true")
    hub.git("config", "branch.main.mergeOptions", "--no-verify-signatures")
    assert hub.run("eval", "-q", *MEASURE, "s1") == Result(0)
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
