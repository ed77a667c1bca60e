"""What is asked of git, always through the git program: places, pointers, ignore lines, attributes.

Paths are bytes relative to the top folder of git's work tree. Nothing here knows trees, stores or the user's data.
"""
