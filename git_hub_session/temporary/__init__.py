"""The temporary worktrees in which commits are measured."""
