"""Restore removed worktrees."""
