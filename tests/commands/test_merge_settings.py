"""`merge` obeys the settings of `git merge`, and its conventions for messages."""

from __future__ import annotations

import pytest

from tests.support.evaluated_sessions import (
    agent_worktree,
    create_evaluated_session,
    git_status,
    git_version,
    protected_state,
    sign_with,
)
from tests.support.hub import Hub, Result

TRAILERS = "Hub-Session: s1\nHub-Agent: agent-2\n"
SIGNOFF = "Signed-off-by: Ada <ada@example.com>\n"


def message(hub: Hub) -> str:
    """Return the message of the commit at the tip of main, as it is stored."""
    return hub.git("cat-file", "commit", "main").partition("\n\n")[2] + "\n"


def test_empty_message(hub: Hub) -> None:
    """`-m ''` is not the default message. git refuses it too."""
    create_evaluated_session(hub)
    before = protected_state(hub)
    refused = Result(
        1, "", "error: the merge message is empty\nhint: give a message with -m <text>\n"
    )
    for paragraphs in (("",), ("", ""), (" \n",)):
        words = [word for paragraph in paragraphs for word in ("-m", paragraph)]
        assert hub.run("merge", "-q", "--yes", *words, "s1") == refused
        assert hub.run("merge", "-q", "-n", *words, "s1") == refused
    assert hub.run("merge", "-q", "--yes", "--squash", "-m", "", "s1") == refused
    assert protected_state(hub) == before


@pytest.mark.parametrize(
    ("mode", "expected"),
    [
        (None, "Fix  it\n\n# 1\nmore\n\n"),
        ("whitespace", "Fix  it\n\n# 1\nmore\n\n"),
        ("scissors", "Fix  it\n\n# 1\nmore\n\n"),
        ("strip", "Fix  it\n\nmore\n\n"),
        ("verbatim", "Fix  it   \n\n\n\n# 1\t\nmore\n\n"),
    ],
)
def test_cleanup_of_the_message(hub: Hub, mode: str | None, expected: str) -> None:
    """The result is that of `git merge -m`, apart from the trailers."""
    create_evaluated_session(hub)
    if mode is not None:
        hub.git("config", "commit.cleanup", mode)
    text = "Fix  it   \n\n\n\n# 1\t\nmore\n"
    hub.git("branch", "theirs", "hub/s1/agent-2/attempt-1")
    assert hub.run("merge", "-q", "--yes", "-m", text, "s1") == Result(0)
    assert message(hub) == expected + TRAILERS
    hub.git("reset", "-q", "--hard", "main^")
    hub.git("merge", "-q", "--no-ff", "-m", text, "theirs")
    assert message(hub).rstrip() == expected.rstrip()


def test_unknown_cleanup_mode(hub: Hub) -> None:
    create_evaluated_session(hub)
    hub.git("config", "commit.cleanup", "tidy")
    before = protected_state(hub)
    hint = "git config --show-origin --get-all commit.cleanup"
    assert hub.run("merge", "--yes", "s1") == Result(
        1, "", f"error: invalid value of commit.cleanup: 'tidy'\nhint: {hint}\n"
    )
    assert protected_state(hub) == before
    assert hub.call("sh", "-c", hint).out == "file:.git/config\ttidy\n"


@pytest.mark.parametrize("kind", ["--squash", "--yes"])
def test_task_makes_no_trailers(hub: Hub, kind: str) -> None:
    """A line Signed-off-by in the task does not become a trailer."""
    task = "Signed-off-by: Eve <eve@example.com>\n\nFix it\n\nSigned-off-by: Eve <eve@example.com>"
    create_evaluated_session(hub, task=task)
    assert hub.run("merge", "-q", "--yes", kind, "s1") == Result(0)
    trailers = hub.git("show", "-s", "--format=%(trailers:only)", "main")
    assert trailers == TRAILERS


def test_signoff(hub: Hub) -> None:
    create_evaluated_session(hub)
    assert hub.run("merge", "-q", "--yes", "--signoff", "s1") == Result(0)
    assert message(hub).endswith(f"Session: s1\n\n{TRAILERS}{SIGNOFF}")
    assert hub.git("show", "-s", "--format=%(trailers:only)", "main") == TRAILERS + SIGNOFF


def test_signoff_with_a_message(hub: Hub) -> None:
    create_evaluated_session(hub)
    arguments = ("merge", "-q", "--yes", "--squash", "-m", "Fix", "-m", "Closes: #1", "--signoff")
    assert hub.run(*arguments, "s1") == Result(0)
    assert message(hub) == f"Fix\n\nCloses: #1\n{TRAILERS}{SIGNOFF}"


def test_signoff_without_a_new_message(hub: Hub) -> None:
    create_evaluated_session(hub)
    result = hub.run("merge", "--ff", "--signoff", "s1")
    assert (result.code, result.err.splitlines()[0]) == (
        *(129, "error: --signoff and --ff exclude each other"),
    )


def diverge(hub: Hub) -> None:
    """Commit to main, and evaluate again."""
    hub.commit(hub.top, "later", "x\n")
    assert hub.run("eval", "-q", "--ranking", "2,1", "s1") == Result(0)


@pytest.mark.parametrize("source", ["merge.ff=only", "branch.main.mergeOptions=--ff-only"])
def test_only_fast_forwards(hub: Hub, source: str) -> None:
    """As in git, the merge is a fast-forward, or is refused. The hint rebases."""
    create_evaluated_session(hub)
    hub.git("config", *source.split("="))
    preview = hub.run("merge", "-n", "s1")
    assert preview.out.startswith("Merging hub/s1/agent-2/attempt-1 into main (fast-forward)\n")
    assert hub.run("merge", "-m", "Fix", "s1") == Result(
        1,
        "",
        "error: merge.ff is 'only': a fast-forward has no message\n"
        "hint: git hub-session merge -m Fix --squash s1\n",
    )
    diverge(hub)
    before = protected_state(hub)
    rebase = "git hub-session merge --rebase s1"
    assert hub.run("merge", "--yes", "s1") == Result(
        1,
        "",
        "error: cannot fast-forward 'main': it has commits that agent-2 does not have\n"
        f"hint: {rebase.replace('--rebase', '--rebase --yes')}\n",
    )
    assert protected_state(hub) == before
    assert hub.call("sh", "-c", f"{rebase} -q --yes") == Result(0)
    assert hub.git("rev-list", "--count", "--merges", "main") == "0"


def test_fast_forward_by_setting(hub: Hub) -> None:
    create_evaluated_session(hub)
    hub.git("config", "merge.ff", "only")
    tip = hub.git("rev-parse", "hub/s1/agent-2/attempt-1")
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert hub.git("rev-parse", "main") == tip


@pytest.mark.parametrize("options", ["--no-ff", "--ff"])
def test_options_of_the_branch_replace_merge_ff(hub: Hub, options: str) -> None:
    create_evaluated_session(hub)
    hub.git("config", "merge.ff", "only")
    hub.git("config", "branch.main.mergeOptions", options)
    diverge(hub)
    assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
    assert hub.git("rev-parse", "main^2") == hub.git("rev-parse", "hub/s1/agent-2/attempt-1")


def test_options_of_the_branch(hub: Hub) -> None:
    """The last option counts. An option of the command line comes after them."""
    create_evaluated_session(hub)
    options = "--no-squash --squash --signoff --log=3 --no-edit --cleanup=strip --no-stat"
    hub.git("config", "branch.main.mergeOptions", options)
    preview = hub.run("merge", "-n", "s1")
    assert preview == Result(0, "Merging hub/s1/agent-2/attempt-1 into main (squash)\n  Rank: 1\n")
    assert hub.run("merge", "-q", "--yes", "-m", "Fix\n\n# no", "s1") == Result(0)
    assert hub.git("rev-list", "--count", "--no-merges", "main^..main") == "1"
    assert message(hub) == f"Fix\n\n{TRAILERS}{SIGNOFF}"


@pytest.mark.parametrize(
    ("name", "value", "replacement"),
    [
        ("branch.main.mergeoptions", "-s ours", "branch.main.mergeoptions="),
        ("branch.main.mergeoptions", "-sresolve", "branch.main.mergeoptions="),
        ("branch.main.mergeoptions", "--strategy=ours", "branch.main.mergeoptions="),
        ("branch.main.mergeoptions", "--no-commit --no-ff", "branch.main.mergeoptions="),
        ("branch.main.mergeoptions", "'open", "branch.main.mergeoptions="),
        ("pull.twohead", "ours", "pull.twohead=ort"),
    ],
)
def test_settings_for_another_merge(hub: Hub, name: str, value: str, replacement: str) -> None:
    """A merge with other files than git's is refused. The hint merges without the setting."""
    create_evaluated_session(hub)
    hub.git("config", name, value)
    before = protected_state(hub)
    hint = f"git -c {replacement} hub-session merge --yes s1"
    assert hub.run("merge", "--yes", "s1") == Result(
        1, "", f"error: cannot merge with {name}='{value}'\nhint: {hint}\n"
    )
    assert protected_state(hub) == before
    assert hub.call("sh", "-c", hint).code == 0
    assert git_status(hub) == "## main"
    assert hub.git("rev-parse", "main^2") == hub.git("rev-parse", "hub/s1/agent-2/attempt-1")


@pytest.mark.parametrize(
    ("options", "content"),
    [
        ("-X theirs", "theirs\n"),
        ("-Xours", "ours\n"),
        ("--strategy-option=theirs", "theirs\n"),
        ("--strategy-option ours --no-ff -s recursive", "ours\n"),
        ("-X theirs -X ours", "ours\n"),
    ],
)
def test_strategy_options_of_the_branch(hub: Hub, options: str, content: str) -> None:
    """A git since 2.43 merges as `git merge` does. An older one refuses, and nothing changes."""
    create_evaluated_session(hub)
    hub.commit(agent_worktree(hub, 2), "file", "theirs\n")
    hub.commit(hub.top, "file", "ours\n")
    hub.git("config", "branch.main.mergeOptions", options)
    before = protected_state(hub)
    result = hub.run("merge", "-q", "--yes", "--unmeasured", "s1")
    if git_version(hub) < (2, 43):
        name = "branch.main.mergeoptions"
        hint = f"git -c {name}= hub-session merge --unmeasured --yes s1"
        message = f"error: cannot merge with {name}='{options}'\nhint: {hint}\n"
        assert (result, protected_state(hub)) == (Result(1, "", message), before)
        return
    assert result == Result(0)
    assert (hub.top / "file").read_text() == content
    tree = hub.git("rev-parse", "main^{tree}")
    tip = hub.git("rev-parse", "main^2")
    hub.git("switch", "-q", "--detach", "main^1")
    hub.git("merge", "-q", "--no-edit", *options.replace("=", " ").split(), tip)
    assert hub.git("rev-parse", "HEAD^{tree}") == tree


def test_diffstat_is_hidden(hub: Hub) -> None:
    create_evaluated_session(hub)
    hub.git("config", "merge.stat", "false")
    assert hub.run("merge", "-n", "s1").out == (
        "Merging hub/s1/agent-2/attempt-1 into main\n  Rank: 1\n"
    )
    assert hub.json("merge", "-n", "s1")["files"] == 2


def test_settings_of_another_worktree_do_not_count(hub: Hub) -> None:
    """git reads the settings of the worktree in which it commits."""
    create_evaluated_session(hub)
    hub.git("config", "extensions.worktreeConfig", "true")
    hub.git("branch", "release")
    release = hub.top.parent / "release"
    hub.git("worktree", "add", "-q", release, "release")
    hub.git("config", "--worktree", "merge.ff", "only")  # `worktree add` would copy it
    hub.git("config", "--worktree", "commit.cleanup", "strip", cwd=release)
    hub.commit(release, "later", "x\n")
    arguments = ("merge", "-q", "--yes", "--into=release", "-m", "Fix", "-m", "# no", "s1")
    assert hub.run(*arguments) == Result(0)
    text = hub.git("cat-file", "commit", "release").partition("\n\n")[2]
    assert text + "\n" == f"Fix\n\n{TRAILERS}"
    assert hub.git("rev-parse", "release^2") == hub.git("rev-parse", "hub/s1/agent-2/attempt-1")


@pytest.mark.parametrize("worktree", ["main", "linked"])
def test_unfinished_operation(hub: Hub, worktree: str) -> None:
    """`git merge` refuses too, or its operation could not be aborted afterwards."""
    create_evaluated_session(hub)
    hub.git("switch", "-q", "--detach")
    top = hub.top
    if worktree == "linked":
        top = hub.top.parent / "linked"
        hub.git("worktree", "add", "-q", top, "main")
    else:
        hub.git("switch", "-q", "main")
    hub.git("branch", "side", "hub/s1/agent-1/attempt-1")
    mine = agent_worktree(hub, 1)
    patch = hub.git("format-patch", "-1", "--stdout", "side") + "\n"
    (top / "new").write_text("mine\n")
    hub.git("add", "new", cwd=top)
    hub.git("commit", "-q", "-m", "mine", cwd=top)
    assert mine.is_dir()
    operations = {
        "merge": ("merge", "side"),
        "cherry-pick": ("cherry-pick", "side"),
        "revert": ("revert", "--no-commit", "HEAD"),
        "am": ("am", "--3way"),
        "bisect": ("bisect", "start"),
    }
    ends = {"bisect": ("bisect", "reset"), "revert": ("revert", "--abort")}
    for operation, words in operations.items():
        hub.call("git", *words, cwd=top, stdin=patch)
        before = protected_state(hub)
        assert hub.run("merge", "--yes", "s1") == Result(
            1,
            "",
            f"error: 'main' is in the middle of a {operation} in '{top}'\nhint: finish it first\n",
        ), operation
        assert protected_state(hub) == before
        hub.git(*ends.get(operation, (operation, "--abort")), cwd=top)


def test_changes_that_the_branch_has(hub: Hub) -> None:
    """The user has squashed the winner's commits into main. A merge would change no file."""
    create_evaluated_session(hub)
    hub.git("merge", "-q", "--squash", "hub/s1/agent-2/attempt-1")
    hub.git("commit", "-q", "-m", "squashed")
    assert hub.run("eval", "-q", "--ranking", "2,1", "s1") == Result(0)
    before = protected_state(hub)
    hint = "git hub-session update s1 --state merged"
    for kind in ("--squash", "--rebase", "--dry-run"):
        assert hub.run("merge", "--yes", kind, "s1") == Result(
            1,
            "",
            "error: nothing to merge: 'main' already contains the changes of agent-2\n"
            f"hint: {hint}\n",
        )
    assert protected_state(hub) == before
    assert hub.call("sh", "-c", hint).code == 0
    assert hub.state()["state"] == "merged"


def test_preview_of_the_changes_that_the_branch_does_not_have(hub: Hub) -> None:
    """The list has what the merge changes in main, also if its new files exist only in memory."""
    create_evaluated_session(hub)
    hub.commit(hub.top, "new", "2\n")
    hub.commit(hub.top, "file", "zero\nfirst\n")
    winner = agent_worktree(hub, 2)
    hub.commit(winner, "file", "first\n\n\n\nby agent 2\n")
    assert hub.run("eval", "-q", "--ranking", "2,1", "s1").code in (0, 1)
    result = hub.run("merge", "-n", "--unmeasured", "s1")
    document = hub.json("merge", "-n", "--unmeasured", "s1", code=result.code)
    assert (document["conflicts"], document["files"]) == ([], 1), result
    assert "new" not in result.out
    hub.run("merge", "-q", "--yes", "--unmeasured", "s1")
    changed = hub.git("diff", "--numstat", "main^", "main")
    assert changed == f"{document['insertions']}\t{document['deletions']}\tfile"


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("merge.verifySignatures", "true"),
        ("branch.main.mergeOptions", "--verify-signatures"),
    ],
)
@pytest.mark.parametrize("signature", ["none", "unknown", "valid"])
def test_signature_of_the_winner(hub: Hub, setting: str, value: str, signature: str) -> None:
    """`git merge` refuses the same tips. The second hint merges without a verification."""
    create_evaluated_session(hub)
    winner = agent_worktree(hub, 2)
    allowed = sign_with(hub, "key")
    (hub.top.parent / "allowed").write_text(allowed)
    hub.git("config", "--global", "gpg.ssh.allowedSignersFile", hub.top.parent / "allowed")
    if signature == "unknown":
        sign_with(hub, "another")
    if signature != "none":
        hub.git("commit", "-q", "--amend", "--no-edit", "-S", cwd=winner)
        assert hub.run("eval", "-q", "--ranking", "2,1", "s1") == Result(0)
    tip = hub.git("rev-parse", "HEAD", cwd=winner)
    hub.git("config", setting, value)
    before = protected_state(hub)
    theirs = hub.call("git", "merge", "-q", "--no-ff", "--no-commit", tip)
    hub.call("git", "merge", "--abort")
    if signature == "valid":
        assert theirs.code == 0, theirs
        assert hub.run("merge", "-q", "--yes", "s1") == Result(0)
        return
    assert theirs.code == 128, theirs
    unverified = "git -c branch.main.mergeOptions=--no-verify-signatures hub-session merge --yes s1"
    refused = Result(
        1,
        "",
        "error: the last commit of agent-2 has no valid signature (merge.verifySignatures)\n"
        f"hint: git log -1 --show-signature {tip[:12]}\nhint: {unverified}\n",
    )
    assert hub.run("merge", "--yes", "s1") == refused
    assert hub.run("merge", "--yes", "-n", "s1") == refused
    assert protected_state(hub) == before
    assert hub.call("sh", "-c", f"{unverified} -q") == Result(0)


def test_identity_hooks_and_signature_of_the_checkout(hub: Hub) -> None:
    """As with `git merge`, the settings of the checkout count, and not those of the caller."""
    create_evaluated_session(hub)
    sign_with(hub, "key")
    hub.git("config", "extensions.worktreeConfig", "true")
    release = hub.top.parent / "release"
    hub.git("worktree", "add", "-q", "-b", "release", release)
    hub.git("config", "--worktree", "user.email", "main@example.com")
    hub.git("config", "--worktree", "user.email", "release@example.com", cwd=release)
    hub.git("config", "--worktree", "commit.gpgSign", "true", cwd=release)
    hub.git("config", "--worktree", "core.hooksPath", ".own-hooks", cwd=release)
    hook = release / ".own-hooks" / "commit-msg"
    hook.parent.mkdir()
    hook.write_text('#!/bin/sh\necho "Directory: $(pwd -P)" >>"$1"\n')
    hook.chmod(0o755)
    assert hub.run("merge", "-q", "--yes", "--into=release", "s1") == Result(0)
    identities = hub.git("log", "-1", "--format=%ae %ce", "release")
    assert identities == "release@example.com release@example.com"
    assert f"\nDirectory: {release}\n" in hub.git("cat-file", "commit", "release") + "\n"
    assert "\ngpgsig " in hub.git("cat-file", "commit", "release")


@pytest.mark.parametrize("branch", ["main", "release"])
def test_settings_that_are_included_for_one_branch(hub: Hub, branch: str) -> None:
    """`includeIf.onbranch` counts if the checkout that is merged into has this branch."""
    create_evaluated_session(hub)
    release = hub.top.parent / "release"
    hub.git("worktree", "add", "-q", "-b", "release", release)
    (hub.top.parent / "included").write_text("[user]\n\temail = included@example.com\n")
    hub.git("config", f"includeIf.onbranch:{branch}.path", hub.top.parent / "included")
    assert hub.run("merge", "-q", "--yes", "--into=release", "s1") == Result(0)
    included = hub.git("log", "-1", "--format=%ce", "release") == "included@example.com"
    assert included == (branch == "release")


@pytest.mark.parametrize("place", ["main", "elsewhere"])
def test_relative_key_from_a_subdirectory(hub: Hub, place: str) -> None:
    """The key is found from the top of the worktree, as with `git merge`."""
    create_evaluated_session(hub)
    sign_with(hub, "key")
    hub.git("config", "user.signingKey", "../key.pub")
    hub.git("config", "commit.gpgSign", "true")
    if place == "elsewhere":
        hub.git("switch", "-q", "--detach")
    assert hub.run("merge", "-q", "--yes", "s1", cwd=hub.top / "sub") == Result(0)
    assert "\ngpgsig " in hub.git("cat-file", "commit", "main")


@pytest.mark.parametrize("operation", ["merge", "cherry-pick"])
def test_unfinished_operation_without_conflicts(hub: Hub, operation: str) -> None:
    """All conflicts are resolved and staged, and only the commit of the operation is missing."""
    create_evaluated_session(hub)
    hub.git("branch", "side", "hub/s1/agent-1/attempt-1")
    hub.commit(hub.top, "new", "mine\n")
    assert hub.call("git", operation, "side").code == 1
    (hub.top / "new").write_text("resolved\n")
    hub.git("add", "new")
    before = protected_state(hub)
    assert hub.run("merge", "--yes", "--unmeasured", "s1") == Result(
        1,
        "",
        f"error: 'main' is in the middle of a {operation} in '{hub.top}'\nhint: finish it first\n",
    )
    assert protected_state(hub) == before
    hub.git(operation, "--abort")
    assert git_status(hub) == "## main"
