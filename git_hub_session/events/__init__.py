"""Look at one attempt: its commits, its files, its last run and its result."""
