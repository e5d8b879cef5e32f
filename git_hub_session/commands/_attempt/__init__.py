"""The parts that the commands about one attempt share."""
