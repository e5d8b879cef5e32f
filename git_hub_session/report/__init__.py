"""A session on one page, as HTML or as Markdown."""
