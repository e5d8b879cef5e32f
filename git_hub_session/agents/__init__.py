"""Create agents and run commands for them."""
