"""The tools that the Makefile runs besides the pipeline."""

from digits.environment import require_packages

require_packages()
