"""The worktrees of a session: their paths, their state, and the commands that repair them."""
