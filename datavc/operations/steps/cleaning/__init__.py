"""What may go: marked from everything that needs it, and dropped under a lock."""
