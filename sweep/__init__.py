"""Runs a grid of experiments on a Dask cluster: `python -m sweep --help`."""
