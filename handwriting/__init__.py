"""Recognize digits of your own, and turn what the models get wrong into data."""

from digits.environment import require_packages

require_packages()
