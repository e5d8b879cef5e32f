"""Facts about the worktrees of a session."""
