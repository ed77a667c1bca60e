"""Between the cache and remotes: whole versions, and ranges of files that are not here."""
