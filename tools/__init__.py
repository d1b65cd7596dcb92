"""The tools that the Makefile runs besides the pipeline."""
