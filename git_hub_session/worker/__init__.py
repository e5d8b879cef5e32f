"""Work on the agents of a shared session: claim, run or measure, and publish."""
