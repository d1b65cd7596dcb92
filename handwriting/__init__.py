"""Recognize digits of your own, and turn the models' mistakes into data."""

from digits.plumbing.environment import require_packages

require_packages()
