"""The user's own files: names that are safe, links and copies, ignore rules, walking and hashing.

Nothing here knows of git, of a store or of a pointer; operations bring them together.
"""
