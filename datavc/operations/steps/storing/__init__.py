"""From the workspace into the cache: packs, pack indexes, roots."""
