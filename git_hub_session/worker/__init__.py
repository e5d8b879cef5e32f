"""Work on the agents of a shared session: claim, spawn, run and publish one after the other."""
