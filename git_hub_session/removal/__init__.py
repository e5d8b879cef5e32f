"""Remove one worktree, safely if killed at any step."""
