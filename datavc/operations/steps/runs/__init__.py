"""Runs and their records: made, kept, and looked up."""
