"""Start workers on other machines and in sandboxes, and show their output (exec --on)."""
