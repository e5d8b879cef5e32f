"""Changes by another tool or a user between two commands, and a function that follows hints."""

from __future__ import annotations

import json
import re
import shlex
import shutil
from collections import Counter
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from tests.support.hub import Hub, Result

MEASURE = ("--eval", "cat file | wc -c | sed 's/^/n: /'", "--metric", "n", "--direction", "higher")
AGENT = "sh -c 'echo work by $HUB_AGENT >>file; git commit -qam more'"
"""The command line of an agent that works again."""
AGENT_1 = "hub/s1/agent-1/attempt-1"
MAX_ERRORS = 6
"""The number of consecutive errors that are allowed, if each hint leads to another error."""


def worktree_path(hub: Hub, agent: int) -> Path:
    """Return the default path of the agent's worktree in the session `s1`."""
    return hub.top.parent / "project.hub" / "s1" / f"agent-{agent}"


def hint_command(hint: str, arguments: tuple[str, ...]) -> list[str]:
    """Return the command that the hint prints, or [] if the hint has no command.

    If the hint only names an option, return the command `arguments` with that option.
    """
    last_command = re.split("if it (?:is gone|was deleted): ", hint)[-1]
    match = re.search(r"(?:^|: )((?:git|rm|mv|printf) .*?)(?:, or:? .*)?$", last_command)
    if match:
        return ["sh", "-c", match[1].replace("<agent>", "1").replace("<command>", AGENT)]
    if hint.endswith("with 'git hub-session init'"):
        return ["git", "hub-session", "init", "-q", "--task", "another"]
    if "without --retry" in hint:
        return ["git", "hub-session", "spawn", "s1"]
    if "check out another branch" in hint:
        return ["git", "checkout", "-q", "main"]
    options = {
        "use --force": ["--force"],
        "choose another --path": ["--path", "../elsewhere-{id}-{n}"],
        "with --base": ["--base", "release"],
        "with --into": ["--into", "release"],
    }
    for text, option in options.items():
        if text in hint:
            return ["git", "hub-session", arguments[0], *option, *arguments[1:]]
    return []


def run_with_hints(
    hub: Hub, *arguments: str, allowed_errors: int = MAX_ERRORS, counts: Counter[str] | None = None
) -> Result:
    """Run the command until it succeeds. After each failure, run the first command in its hints.

    Args:
        allowed_errors: the number of failures that are still allowed.
        counts: counts the errors and the hints that were followed.
    """
    counts = Counter() if counts is None else counts
    result = hub.run(*arguments)
    if result.code == 0:
        return result
    counts["errors"] += 1
    assert allowed_errors, result
    hints = re.findall(r"(?:hint|manual fix): (.*)", result.out + result.err)
    commands = [hint_command(hint, arguments) for hint in hints]
    command = next(filter(None, commands), None)
    assert command, f"no hint has a command: {arguments}: {result}"
    counts["hints"] += 1
    followed = hub.call(*command)
    if command[-1].endswith(" status") and "git rebase --" in followed.out:
        # git status advises to continue or to abort the rebase.
        abort = f"{command[-1].removesuffix('status')}rebase --abort"
        assert hub.call("sh", "-c", abort).code == 0
    # The hint is the same command with an option, or records that the user has done the work.
    is_replacement = command[2] == arguments[0] or command[-1].startswith(
        (f"git hub-session {arguments[0]} ", "git hub-session update ")
    )
    if is_replacement and followed.code == 0:
        return followed
    if is_replacement and command[0] != "sh":
        return run_with_hints(hub, *command[2:], allowed_errors=allowed_errors - 1, counts=counts)
    if followed.code:
        match = re.match(r"git hub-session (.*)", command[-1])
        assert match, f"the command of a hint fails: {command}: {followed}"
        run_with_hints(
            hub, *shlex.split(match[1]), allowed_errors=allowed_errors - 1, counts=counts
        )
    return run_with_hints(hub, *arguments, allowed_errors=allowed_errors - 1, counts=counts)


def edit_state(hub: Hub, change: Callable[[dict[str, Any]], object]) -> None:
    """Apply `change` to the document in state.json."""
    document = hub.state()
    change(document)
    (hub.directory() / "state.json").write_text(json.dumps(document))


def edit_config(hub: Hub, old: str, new: str) -> None:
    """Replace a text in config.yaml."""
    file = hub.directory() / "config.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def update_agent_1(hub: Hub, **fields: object) -> None:
    """Change fields of the record of agent 1 in state.json."""
    edit_state(hub, lambda state: state["agents"].setdefault("agent-1", {}).update(fields))


def keep_only_agent_1(hub: Hub, **fields: object) -> None:
    """Replace the records of all agents in state.json with one of agent 1."""
    edit_state(hub, lambda state: state.update(agents={"agent-1": fields}))


def _write_merge(hub: Hub) -> None:
    """Record a merge that did not happen in state.json."""
    merge = {"agent": 1, "attempt": 1, "tip": "f" * 40, "into": "main", "commit": "e" * 40}
    edit_state(hub, lambda state: state.update(merge=merge))


def _prune(hub: Hub, *agents: int) -> None:
    for agent in agents:
        shutil.rmtree(worktree_path(hub, agent))
    hub.git("worktree", "prune")


def _delete_branches(hub: Hub, *agents: int) -> None:
    _prune(hub, *agents)
    for agent in agents:
        hub.git("branch", "-q", "-D", f"hub/s1/agent-{agent}/attempt-1")


def _swap_branches(hub: Hub) -> None:
    """Check out the branch of agent 1 in the worktree of agent 2."""
    hub.git("checkout", "-q", "--detach", cwd=worktree_path(hub, 1))
    hub.git("checkout", "-q", AGENT_1, cwd=worktree_path(hub, 2))


def _commit_detached(hub: Hub) -> None:
    hub.git("checkout", "-q", "--detach", cwd=worktree_path(hub, 1))
    hub.commit(worktree_path(hub, 1), "more", "on no branch\n")


def _reset_base(hub: Hub) -> None:
    """Reset the base branch, as after a forced push. It no longer has the agents' base commit."""
    hub.git("reset", "-q", "--hard", "main~")


def _lose_base_commit(hub: Hub) -> None:
    """Reset the base branch, and record a base commit that does not exist."""
    _reset_base(hub)
    edit_state(hub, lambda state: state.update(base_commit="0" * 39 + "1"))


def _delete_base_branch(hub: Hub) -> None:
    hub.git("checkout", "-q", "--detach")
    hub.git("branch", "-q", "-D", "main")


def _stop_rebase(hub: Hub) -> None:
    """Stop a rebase in the worktree of agent 1."""
    hub.call("git", "rebase", "-q", "--exec", "false", "HEAD~", cwd=worktree_path(hub, 1))


Change = Callable[[Hub], object]

COMMON_CHANGES: Mapping[str, Change] = {
    "fewer agents": lambda hub: edit_config(hub, "agent_count: 2", "agent_count: 1"),
    "rm -rf of a worktree": lambda hub: shutil.rmtree(worktree_path(hub, 1)),
    "rm -rf of all worktrees": lambda hub: shutil.rmtree(worktree_path(hub, 1).parent),
    "rm -rf, prune, branch -D": lambda hub: _delete_branches(hub, 1, 2),
    "the branch of a worktree is deleted": lambda hub: hub.git(
        "update-ref", "-d", f"refs/heads/{AGENT_1}"
    ),
    "another branch is checked out": lambda hub: hub.git(
        "checkout", "-qb", "mine", cwd=worktree_path(hub, 1)
    ),
    "status running": lambda hub: keep_only_agent_1(hub, status="running"),
    "status spawning": lambda hub: keep_only_agent_1(hub, status="spawning"),
    "state init": lambda hub: edit_state(hub, lambda state: state.update(state="init")),
    "the base commit is missing": _lose_base_commit,
}
"""The most frequent changes, and changes for which the hints were once insufficient."""

RARE_CHANGES: Mapping[str, Change] = {
    "rm -rf, prune": lambda hub: _prune(hub, 1),
    "git worktree remove": lambda hub: hub.git("worktree", "remove", "-f", worktree_path(hub, 1)),
    "git worktree move": lambda hub: hub.git(
        "worktree", "move", worktree_path(hub, 1), hub.top.parent / "m"
    ),
    "mv": lambda hub: shutil.move(worktree_path(hub, 1), hub.top.parent / "m"),
    "the git dir is deleted": lambda hub: shutil.rmtree(hub.top / ".git" / "worktrees" / "agent-1"),
    "detached": lambda hub: hub.git("checkout", "-q", "--detach", cwd=worktree_path(hub, 1)),
    "detached, with a commit": _commit_detached,
    "HEAD is empty": lambda hub: (hub.top / ".git" / "worktrees" / "agent-1" / "HEAD").write_text(
        ""
    ),
    "swapped": _swap_branches,
    "the branch is renamed": lambda hub: hub.git("branch", "-m", AGENT_1, "mine"),
    "locked": lambda hub: hub.git("worktree", "lock", worktree_path(hub, 1)),
    "a stopped rebase": _stop_rebase,
    "the base branch has a new commit": lambda hub: hub.commit(hub.top, "more", "more\n"),
    "the base branch is reset": _reset_base,
    "the base branch is deleted": _delete_base_branch,
    "HEAD is detached": lambda hub: hub.git("checkout", "-q", "--detach"),
    "status waiting": lambda hub: update_agent_1(hub, status="waiting"),
    "status running in an old run": lambda hub: update_agent_1(
        hub, status="running", exec={"run": "exec-9"}
    ),
    "status restoring": lambda hub: update_agent_1(hub, status="restoring"),
    "another attempt": lambda hub: update_agent_1(hub, status="spawning", attempt=2),
    "fields of other types": lambda hub: update_agent_1(
        hub, status=7, attempt="x", worktree=[], exec=[], work=1
    ),
    "state evaluating": lambda hub: edit_state(hub, lambda state: state.update(state="evaluating")),
    "no agents": lambda hub: edit_state(hub, lambda state: state.pop("agents")),
    "a list of agents": lambda hub: edit_state(hub, lambda state: state.update(agents=[])),
    "no history": lambda hub: edit_state(hub, lambda state: state.pop("history")),
    "no base commit": lambda hub: edit_state(hub, lambda state: state.pop("base_commit")),
    "a number as base commit": lambda hub: edit_state(
        hub, lambda state: state.update(base_commit=5)
    ),
    "no times": lambda hub: edit_state(
        hub, lambda state: [state.pop("created"), state.pop("updated")]
    ),
    "a list as merge": lambda hub: edit_state(hub, lambda state: state.update(merge=[])),
    "a merge that did not happen": _write_merge,
    "more agents": lambda hub: edit_config(hub, "agent_count: 2", "agent_count: 3"),
    "the board is deleted": lambda hub: shutil.rmtree(hub.top / ".agenthub" / "board"),
}
"""The changes that only the long form tests."""
