"""Recognize digits of your own, and turn the models' mistakes into data."""

from digits.environment import require_packages

require_packages()
