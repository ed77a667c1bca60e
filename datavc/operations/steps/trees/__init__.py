"""The trees of versions: read, walked, set against each other and merged."""
