"""A live view of sessions and agents."""
