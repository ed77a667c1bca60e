"""From the cache into the workspace: planned, refused or carried out, recorded."""
