"""Put first on PYTHONPATH of what `datavc run` starts: nothing else may lie here."""
