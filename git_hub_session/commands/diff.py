"""git hub-session diff: show the changes of an attempt, with git diff."""

from __future__ import annotations

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.cli.options import QUIET, SESSION_ALIAS, Arguments, Option, Usage
from git_hub_session.cli.view import ExitView
from git_hub_session.commands._attempt.arguments import parse_attempts
from git_hub_session.commands._attempt.off_branch import warn_off_branch
from git_hub_session.git.worktrees import linked_worktrees
from git_hub_session.review.attempt import find_attempt, find_start
from git_hub_session.review.uncommitted_tree import objects_directory, write_uncommitted_tree
from git_hub_session.system.temporary import temporary_directory
from git_hub_session.worktree.owner import attempt_worktrees

if TYPE_CHECKING:
    from collections.abc import Sequence

    from git_hub_session.cli.context import Context
    from git_hub_session.review.attempt import Attempt
    from git_hub_session.session.project import Project

USAGE = Usage(
    (
        "diff [<options>] [<id>] <agent> [-- <arg>...]",
        "diff [<options>] [<id>] <agent> <agent> [-- <arg>...]",
    ),
    (
        Option("--stat", "show the number of changed lines of each file"),
        Option("--name-only", "show only the names of the changed files"),
        Option("--uncommitted", "include the uncommitted files of the worktree"),
        QUIET,
    ),
    max_arguments=3,
    takes_paths=True,
    aliases=(SESSION_ALIAS, ("--diff-summary", "--stat")),
)


def run(context: Context, args: Arguments) -> ExitView:
    """Show the changes of an attempt, or the difference between two attempts."""
    named = parse_attempts(context, args, "diff", most=2)
    project = context.project
    session = project.store.read(named.session)
    attempts = [find_attempt(*attempt, session, project) for attempt in named.attempts]
    warn_off_branch(context, session, [attempt.branch.agent for attempt in attempts])
    start = [] if len(attempts) > 1 else [find_start(attempts[0], session, project)]
    if not args.is_set("uncommitted"):
        return _show_diff([*start, *(attempt.commit for attempt in attempts)], args, project)
    with temporary_directory() as directory:
        trees = [_uncommitted_tree(attempt, context, directory) for attempt in attempts]
        return _show_diff([*start, *trees], args, project, objects=objects_directory(directory))


def _uncommitted_tree(attempt: Attempt, context: Context, directory: str) -> str:
    """Return the tree of the attempt's worktree. Without a worktree, return the commit."""
    project = context.project
    worktrees = linked_worktrees(project.paths.common_dir)
    worktree = attempt_worktrees(attempt.branch.session, project, worktrees).get(attempt.branch)
    if worktree is None:
        context.reporter.note(f"warning: {attempt.name} has no worktree: its commits are shown")
        return attempt.commit
    return write_uncommitted_tree(worktree, project, directory)


def _show_diff(
    trees: Sequence[str], args: Arguments, project: Project, *, objects: str = ""
) -> ExitView:
    """Run `git diff` in the directory of the user, with the user's terminal and settings."""
    options = [f"--{name}" for name in ("stat", "name-only") if args.is_set(name)]
    more, paths = _split_words(args.command)
    here = project.paths
    git = project.git.at(here.git_dir, here.worktree, objects=objects, in_subdirectory=True)
    return ExitView(git.run_in_foreground(["diff", *options, *more, *trees, "--", *paths]))


def _split_words(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Return the options of git and the paths in the words after `--`."""
    options: list[str] = []
    for index, word in enumerate(words):
        if word == "--":
            return options, list(words[index + 1 :])
        if not word.startswith("-"):
            return options, list(words[index:])
        options.append(word)
    return options, []
