"""What the commands answer: one module a command, and `view` for what they share."""
