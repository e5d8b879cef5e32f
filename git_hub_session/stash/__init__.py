"""Uncommitted work in git's stash format."""
