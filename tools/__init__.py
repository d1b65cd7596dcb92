"""The tools that the Makefile runs besides the pipeline."""

from digits.plumbing.environment import require_packages

require_packages()
