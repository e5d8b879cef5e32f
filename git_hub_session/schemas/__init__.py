"""The JSON schemas of the answers with --format=json."""
