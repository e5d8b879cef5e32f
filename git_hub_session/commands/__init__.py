"""The table of commands. Reading the table imports no command."""

from __future__ import annotations

from git_hub_session._typing import NamedTuple


class Command(NamedTuple):
    """The module that has USAGE and run() of a command, and a summary of one line."""

    module: str
    summary: str


COMMANDS: dict[str, Command] = {
    "init": Command("git_hub_session.commands.init", "create a session for a task"),
    "spawn": Command(
        "git_hub_session.commands.spawn", "create a branch and a worktree for each agent"
    ),
    "exec": Command("git_hub_session.commands.exec", "run a command for each agent in parallel"),
    "adopt": Command(
        "git_hub_session.commands.adopt", "record a branch, commit or worktree as an attempt"
    ),
    "eval": Command("git_hub_session.commands.eval", "measure and rank the agents' results"),
    "merge": Command(
        "git_hub_session.commands.merge", "merge the winner and archive the other branches"
    ),
    "run": Command("git_hub_session.commands.run", "run all steps from init to merge"),
    "list": Command("git_hub_session.commands.list", "list the sessions"),
    "status": Command(
        "git_hub_session.commands.status", "show a session with its branches and worktrees"
    ),
    "watch": Command("git_hub_session.commands.watch", "show sessions and agents live"),
    "log": Command("git_hub_session.commands.log", "show the state changes of a session"),
    "show": Command("git_hub_session.commands.show", "show an attempt on one page"),
    "report": Command(
        "git_hub_session.commands.report", "show a session on one page, as HTML or Markdown"
    ),
    "diff": Command("git_hub_session.commands.diff", "show the changes of an attempt"),
    "board": Command("git_hub_session.commands.board", "read and write AgentHub's message board"),
    "path": Command("git_hub_session.commands.path", "print the path of an agent's worktree"),
    "shell": Command("git_hub_session.commands.shell", "start a shell in the worktree of an agent"),
    "open": Command("git_hub_session.commands.open", "open the worktree of an agent in an editor"),
    "guide": Command(
        "git_hub_session.commands.guide", "print instructions for a coding agent in a worktree"
    ),
    "update": Command("git_hub_session.commands.update", "change the state of a session"),
    "cleanup": Command(
        "git_hub_session.commands.cleanup", "remove a session's worktrees and save their changes"
    ),
    "restore": Command(
        "git_hub_session.commands.restore", "restore removed worktrees with their changes"
    ),
    "prune": Command(
        "git_hub_session.commands.prune", "delete old archives and saved work of finished sessions"
    ),
    "archive": Command("git_hub_session.commands.archive", "end a session without a winner"),
    "delete": Command("git_hub_session.commands.delete", "delete a session that has no work"),
    "push": Command("git_hub_session.commands.push", "publish sessions on a remote"),
    "fetch": Command(
        "git_hub_session.commands.fetch", "fetch sessions from a remote and merge them"
    ),
    "work": Command(
        "git_hub_session.commands.work", "work on the agents of a shared session until none is left"
    ),
    "doctor": Command(
        "git_hub_session.commands.doctor", "report problems in the hub, or fix them with --fix"
    ),
    "hooks": Command(
        "git_hub_session.commands.hooks", "guard the branches of sessions with hooks of git"
    ),
    "config": Command(
        "git_hub_session.commands.config", "show the settings, their defaults and their origins"
    ),
    "schema": Command("git_hub_session.commands.schema", "print the JSON schema of an answer"),
    "completion": Command(
        "git_hub_session.commands.completion", "print the completion script of a shell"
    ),
    "shell-init": Command(
        "git_hub_session.commands.shell_init",
        "print a shell function that changes to a worktree",
    ),
    "demo": Command("git_hub_session.commands.demo", "run all steps in a temporary repository"),
}
