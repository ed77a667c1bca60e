"""The workspace as it is: scanned, hashed, swept of what killed commands left."""
