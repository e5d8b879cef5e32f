"""`merge` where git cannot write a file of the checkout, and two writers at one checkout."""

from __future__ import annotations

import pytest

from tests.support.evaluated_sessions import (
    agent_worktree,
    create_evaluated_session,
    git_status,
    protected_state,
    write_hook,
)
from tests.support.hints import find_hint, follow_hint, type_hint, types
from tests.support.hub import Hub, Result

MERGE = ("merge", "-q", "--yes", "s1")


def use_filter(hub: Hub, attributes: str, smudge: str) -> None:
    """Commit the attributes, create an evaluated session, and require the filter afterwards."""
    (hub.top / ".gitattributes").write_text(attributes)
    hub.git("add", ".gitattributes")
    hub.git("commit", "-q", "-m", "attributes")
    create_evaluated_session(hub)
    hub.git("config", "filter.f.smudge", smudge)
    hub.git("config", "filter.f.clean", "cat")
    hub.git("config", "filter.f.required", "true")


def failing_at(hub: Hub, calls: str) -> str:
    """Return a filter that fails at some of its calls, such as "2|3"."""
    count = hub.top / ".git" / "objects" / "count"
    return f"echo >>{count}; case $(wc -l <{count}) in {calls}) exit 1;; esac; cat"


@pytest.mark.parametrize("attributes", ["new filter=f", "* filter=f"])
def test_required_filter_that_fails(hub: Hub, attributes: str) -> None:
    """The filter fails, as that of git-lfs without its server. No file changes."""
    use_filter(hub, f"{attributes}\n", "false")
    before = protected_state(hub)
    result = hub.run(*MERGE)
    path = attributes.split()[0].replace("*", "file")
    assert (result.code, result.err.splitlines()[0]) == (
        1,
        f"error: git cannot write the merged files to '{hub.top}'",
    )
    assert f"{path}: smudge filter f failed" in result.err
    assert (protected_state(hub), git_status(hub)) == (before, "## main")
    hub.git("config", "filter.f.smudge", "cat")
    assert hub.run(*MERGE) == Result(0)
    assert (git_status(hub), (hub.top / "new").read_text()) == ("## main", "2\n")


def test_filter_that_fails_among_the_files(hub: Hub) -> None:
    """The filter succeeds at first, and fails when git has written another file."""
    use_filter(hub, "new filter=f\n", failing_at(hub, "2"))
    before = protected_state(hub)
    result = hub.run(*MERGE)
    assert (result.code, result.err.splitlines()[0]) == (
        1,
        f"error: git cannot update '{hub.top}', where 'main' is checked out",
    )
    assert "new: smudge filter f failed" in result.err
    assert "not uptodate" not in result.err
    assert git_status(hub) == "## main"
    assert protected_state(hub) == before
    assert hub.run(*MERGE) == Result(0)
    assert (git_status(hub), (hub.top / "new").read_text()) == ("## main", "2\n")


@types("fix the cause, then: git hub-session merge {}")
def test_filter_that_fails_for_the_old_file_too(hub: Hub) -> None:
    """The old file cannot be written again. `doctor` names the merge, and the next one undoes it."""
    use_filter(hub, "file filter=f\n", failing_at(hub, "[2-9]"))
    refs = hub.refs()
    result = hub.run(*MERGE)
    undo = f"cannot undo the interrupted merge in '{hub.top}'"
    assert (result.code, result.err.splitlines()[0]) == (
        128,
        f"fatal: git cannot update '{hub.top}', and some old files are missing: {undo}",
    )
    hint = find_hint(result, "fix the cause, then: git hub-session merge {}")
    assert "file: smudge filter f failed" in result.err
    assert hub.refs() == refs
    findings = hub.json("doctor", "s1", code=1)["findings"]
    advice = {finding["code"]: finding["advice"] for finding in findings}
    assert advice["merge-cut-off"] == "git hub-session merge s1"
    hub.git("config", "filter.f.smudge", "cat")
    type_hint(hub, f"{hint.partition('then: ')[2]} --yes")
    follow_hint(hint)
    assert git_status(hub) == "## main"


def test_file_with_a_name_that_is_too_long(hub: Hub) -> None:
    """The system refuses one file of the merge. git's error is shown, and no file changes."""
    create_evaluated_session(hub)
    worktree = agent_worktree(hub, 2)
    blob = hub.git("hash-object", "-w", "--stdin", stdin="x\n")
    name = "x" * 300
    hub.git("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}", cwd=worktree)
    hub.git("commit", "-q", "-m", "long name", cwd=worktree)
    hub.git("rm", "-q", "--cached", name, cwd=worktree)
    before = protected_state(hub)
    result = hub.run(*MERGE, "--unmeasured")
    assert result.code == 1
    assert "File name too long" in result.err
    assert git_status(hub) == "## main"
    assert protected_state(hub) == before


def test_modes_before_a_file_that_fails(hub: Hub) -> None:
    """An executable file and a link with the old content become the old files again."""
    for name in ("link", "mode"):
        (hub.top / name).write_text("file")
    hub.git("add", "link", "mode")
    use_filter(hub, "new filter=f\n", failing_at(hub, "2"))
    worktree = agent_worktree(hub, 2)
    (worktree / "mode").chmod(0o755)
    (worktree / "link").unlink()
    (worktree / "link").symlink_to("file")
    hub.git("commit", "-q", "-a", "-m", "modes", cwd=worktree)
    before = protected_state(hub)
    result = hub.run(*MERGE, "--unmeasured")
    assert (result.code, "new: smudge filter f failed" in result.err) == (1, True)
    assert git_status(hub) == "## main"
    assert protected_state(hub) == before
    assert hub.run(*MERGE, "--unmeasured") == Result(0)
    assert git_status(hub) == "## main"
    assert ((hub.top / "mode").stat().st_mode & 0o777, (hub.top / "link").is_symlink()) == (
        0o755,
        True,
    )


def test_untracked_file_with_the_new_content(hub: Hub) -> None:
    """git refuses before it writes. The user's file stays, although the merge has the same one."""
    create_evaluated_session(hub)
    (hub.top / "new").write_text("2\n")
    before = protected_state(hub)
    result = hub.run(*MERGE)
    assert (result.code, "'new' is not tracked\n" in result.err) == (1, True)
    assert protected_state(hub) == before
    assert (hub.top / "new").read_text() == "2\n"


@pytest.mark.parametrize("switch", [("switch", "-q", "main"), ("switch", "-q", "--detach")])
def test_branch_that_another_process_moves(hub: Hub, switch: tuple[str, ...]) -> None:
    """The merge stops. The next one merges into the new commit."""
    create_evaluated_session(hub)
    hub.git(*switch)
    move = "git update-ref refs/heads/main $(git commit-tree -m other -p main main^{tree})"
    write_hook(hub, "prepare-commit-msg", move)
    assert hub.run(*MERGE) == Result(
        1, "", "error: 'main' changed during the merge\nhint: git hub-session merge s1\n"
    )
    assert hub.git("log", "-1", "--format=%s", "main") == "other"
    (hub.top / ".git" / "hooks" / "prepare-commit-msg").unlink()
    assert hub.run(*MERGE, "--unmeasured") == Result(0)
    assert hub.git("log", "-1", "--format=%s", "main^1") == "other"


@types("git -C {} read-tree -m -u {} {}")
def test_branch_that_is_checked_out_while_it_moves(hub: Hub) -> None:
    """HEAD arrives at `main` after the merge, with the old files. The warning names the command."""
    create_evaluated_session(hub)
    base = hub.git("rev-parse", "main")
    hub.git("switch", "-q", "-c", "topic")
    move_head = f"MOVED=1 git -C {hub.top} symbolic-ref HEAD refs/heads/main"
    # A new git calls the hook for HEAD too.
    script = f'test "$1$MOVED" = committed && grep -q refs/heads/main && {move_head}; exit 0'
    write_hook(hub, "reference-transaction", script)
    result = hub.run(*MERGE)
    commit = hub.git("rev-parse", "main")
    command = f"git -C {hub.top} read-tree -m -u {base[:12]} {commit[:12]}"
    assert result == Result(
        0,
        "",
        f"warning: 'main' was checked out in '{hub.top}' during the merge, "
        f"with the files before it (update them: {command})\n",
    )
    assert git_status(hub) == "## main\nM  file\nD  new"
    (hub.top / "sub" / "other").write_text("changed here\n")
    type_hint(hub, f"cd / && {command}")
    follow_hint(command)
    assert git_status(hub) == "## main\n M sub/other"


def test_branch_that_is_checked_out_after_the_merge(hub: Hub) -> None:
    """A checkout that begins after the merge has the new files: there is no warning."""
    create_evaluated_session(hub)
    hub.git("switch", "-q", "-c", "topic")
    script = (
        f'test "$1" = committed && grep -q refs/tags/ && git -C {hub.top} switch -q main; exit 0'
    )
    write_hook(hub, "reference-transaction", script)
    assert hub.run(*MERGE) == Result(0)
    assert (git_status(hub), (hub.top / "new").read_text()) == ("## main", "2\n")
