"""Complete a command line of `git hub-session` in a shell, with the tables of the parser."""
