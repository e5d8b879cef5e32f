"""Start the commands that the user has configured for events."""
