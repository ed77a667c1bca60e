"""Contract suites for whoever writes a backend of their own. They need pytest, which datavc itself does not."""
