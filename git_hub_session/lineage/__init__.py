"""Sessions that start from the winner of another session."""
