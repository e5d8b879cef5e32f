"""Check of posts that agents wrote into their worktrees, where no command reads them."""

from __future__ import annotations

import os
from collections.abc import Iterator

from git_hub_session._typing import TYPE_CHECKING
from git_hub_session.board.board import Board
from git_hub_session.board.collect import collect_posts, worktree_posts
from git_hub_session.doctor.checks.hub_copies import is_tracked
from git_hub_session.doctor.finding import Finding, Problem, check
from git_hub_session.errors import HubError
from git_hub_session.git.discovery import HUB_DIRECTORY
from git_hub_session.git.ref_names import agent_name, parse_agent_branch
from git_hub_session.session.layout import exclude_hub
from git_hub_session.util.shell import quote_word
from git_hub_session.util.text import quote_list

if TYPE_CHECKING:
    from git_hub_session.board.posts import Post
    from git_hub_session.doctor.snapshot import HubSnapshot
    from git_hub_session.git.ref_names import AgentBranch
    from git_hub_session.git.worktrees import Worktree
    from git_hub_session.session.store import LockedSession


def add_posts_to_board(finding: Finding, hub: HubSnapshot, _locked: LockedSession) -> list[str]:
    """Add the posts in the worktree to the board, and exclude the hub there."""
    worktree = hub.find_worktree(finding.session, finding.git_dir)
    branch = agent_of(worktree, hub)
    if branch is None:
        raise HubError("the worktree belongs to no agent anymore")
    board = Board(hub.project.paths.hub)
    author = agent_name(branch.agent)
    collect_posts(worktree.path, board, author=author, session=finding.session)
    return [*exclude_hub(hub.project.paths), *board.warnings]


@check("posts-in-worktree", "an agent wrote posts into its worktree", fix=add_posts_to_board)
def check_posts(worktree: Worktree, hub: HubSnapshot) -> Iterator[Problem]:
    """Find posts of an agent. Wait for the end of its processes: they may still write."""
    posts = _read_posts(worktree, hub)
    if not posts or hub.pids_in(worktree.path):
        return
    if is_tracked(hub.project.git.at(worktree.git_dir, worktree.path), HUB_DIRECTORY):
        return  # check_copies reports them
    directory = f"{worktree.path}/{HUB_DIRECTORY}/board"
    names = [f"{post.channel}/{post.file_name}" for post in posts if not post.reason]
    if names:
        evidence = f"posts that no command reads: {quote_list(names)}"
        yield Problem(directory, evidence, fix="add them to the board")
    for post in posts:
        if post.reason:
            path = f"{directory}/{post.channel}/{post.file_name}"
            evidence = f"this post cannot be added to the board: {post.reason}"
            advice = f"inspect it, then: mv {quote_word(path)} {quote_word(path)}.away"
            yield Problem(path, evidence, advice=advice)


def _read_posts(worktree: Worktree, hub: HubSnapshot) -> list[Post]:
    if agent_of(worktree, hub) is None or worktree.link_error or worktree.is_missing:
        return []
    if not os.path.isdir(f"{worktree.path}/{HUB_DIRECTORY}/board"):
        return []
    try:
        files = worktree_posts(worktree.path, Board(hub.project.paths.hub))
    except (HubError, OSError):
        return []  # check_channels reports a board that cannot be read
    return [file.post for file in files]


def agent_of(worktree: Worktree, hub: HubSnapshot) -> AgentBranch | None:
    """Return the attempt that the worktree belongs to by its branch or by state.json, or None."""
    recorded = hub.off_branch.get(worktree.git_dir)
    return recorded or next(filter(None, map(parse_agent_branch, worktree.branches)), None)
