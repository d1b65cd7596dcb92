"""Read branches, tags, commits and experiments, and say which models are better."""

from digits.plumbing.environment import require_packages

require_packages()
