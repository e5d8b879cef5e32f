"""Read git's files, read repositories with libgit2, and run git."""
