"""What happens when many do something at the same time."""
