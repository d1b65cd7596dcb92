"""Run experiments, a grid or a search, on a Dask cluster: `python -m sweep --help`."""
