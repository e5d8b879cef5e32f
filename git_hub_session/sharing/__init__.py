"""Share sessions between machines through a git remote."""
