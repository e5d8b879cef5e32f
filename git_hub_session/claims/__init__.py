"""Claims of workers on agents, as they are known in this clone."""
