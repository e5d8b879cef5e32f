"""The hooks of git that guard the branches of sessions: install, remove and describe them."""
