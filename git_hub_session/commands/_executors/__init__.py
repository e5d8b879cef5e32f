"""Run workers on executors: the parts that `exec --on` and `eval --on` share."""
