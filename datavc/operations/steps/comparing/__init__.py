"""What differs between versions and the workspace, and versions made of parts of two."""
