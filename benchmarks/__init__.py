"""Measure speed and memory for the tables in docs/performance.md: `make bench`."""
