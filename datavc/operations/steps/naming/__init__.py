"""What users call a version, and what git knows of it: revisions, digests, the pointers in a commit."""
