"""The settings of this program: one table, and the values from git and from .hubsession."""
