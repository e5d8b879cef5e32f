"""Pagers and colors in a pseudo-terminal."""

from __future__ import annotations

from tests.support.hub import Hub
from tests.support.terminal import run_in_terminal

MARKED = "sed s/^/page:/"
"""A pager that marks each line."""


def test_diff_uses_the_pager_and_the_colors_of_git(hub: Hub) -> None:
    hub.session(agents=1)
    hub.commit(hub.worktree(1), "file", "one\n")
    words = ("diff", "s1", "1")
    lines = run_in_terminal(hub, *words, environ={"GIT_PAGER": MARKED}).splitlines()
    assert all(line.startswith("page:") for line in lines)
    assert "page:\x1b[32m+\x1b[m\x1b[32mone\x1b[m" in lines
    assert "page:" not in run_in_terminal(hub, *words, environ={"GIT_PAGER": "cat"})
    hub.git("config", "pager.diff", "sed s/^/configured:/")
    assert run_in_terminal(hub, *words).startswith("configured:")
