"""Code that cannot change a result, so no stage depends on it. Edit here to change messages."""
