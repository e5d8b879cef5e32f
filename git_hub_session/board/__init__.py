"""AgentHub's message board."""
