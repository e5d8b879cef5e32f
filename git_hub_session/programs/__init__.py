"""Programs that use the terminal of the user: git, a pager, a shell or an editor."""
