"""The stages of the pipeline, each run as `python -m stages.NAME`."""

from digits.plumbing import environment, loader

# Python runs this before it reads the stage and the modules that it imports.
loader.install()
environment.require_packages()
