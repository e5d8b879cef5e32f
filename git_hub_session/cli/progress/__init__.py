"""The progress of a command, on standard error."""
