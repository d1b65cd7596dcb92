"""Why results are the same bits on every processor. Edit here only to support more layers."""
