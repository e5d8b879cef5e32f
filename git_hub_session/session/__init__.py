"""Sessions: their files, agents, states, locks and runs."""
