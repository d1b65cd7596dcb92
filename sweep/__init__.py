"""Sends a grid of experiments to the workers of a Dask cluster: `python -m sweep --help`."""
