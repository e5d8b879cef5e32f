"""The table of commands. A new one is a row here, a file beside it, and a view."""

from __future__ import annotations

from git_hub_session.typed import NamedTuple


class Command(NamedTuple):
    """A command: the module that has its USAGE and its run(), and what it does in one line."""

    module: str
    summary: str


COMMANDS: dict[str, Command] = {
    "init": Command("git_hub_session.commands.init", "make a session for a task"),
    "spawn": Command(
        "git_hub_session.commands.spawn", "make a branch and a worktree for each agent"
    ),
    "exec": Command("git_hub_session.commands.exec", "run a command for each agent, side by side"),
    "eval": Command("git_hub_session.commands.eval", "measure what the agents made, and rank them"),
    "merge": Command("git_hub_session.commands.merge", "merge the winner, and tag the others"),
    "run": Command("git_hub_session.commands.run", "play a tournament, from init to merge"),
    "list": Command("git_hub_session.commands.list", "list the sessions"),
    "status": Command(
        "git_hub_session.commands.status", "show a session, its branches and worktrees"
    ),
    "log": Command("git_hub_session.commands.log", "show the transitions of a session"),
    "board": Command("git_hub_session.commands.board", "read and write AgentHub's message board"),
    "path": Command("git_hub_session.commands.path", "print where an agent's worktree is"),
    "update": Command("git_hub_session.commands.update", "move a session to its next state"),
    "cleanup": Command(
        "git_hub_session.commands.cleanup", "remove the worktrees of sessions, saving work"
    ),
    "restore": Command(
        "git_hub_session.commands.restore", "bring removed worktrees back, with their work"
    ),
    "archive": Command(
        "git_hub_session.commands.archive", "end a session without a winner: branches become tags"
    ),
    "doctor": Command(
        "git_hub_session.commands.doctor", "say what does not fit in the hub, and mend it"
    ),
    "demo": Command(
        "git_hub_session.commands.demo", "play a tournament in a throw-away repository"
    ),
}
