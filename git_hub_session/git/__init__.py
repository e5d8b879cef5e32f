"""Git's files, and git itself."""
