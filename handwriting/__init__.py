"""Recognize digits of your own, and turn what the models get wrong into data."""
