"""Places that keep named files: folders, and later buckets. They know files, never objects."""
