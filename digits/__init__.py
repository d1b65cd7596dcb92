"""The library of the stages, the tools and the rest of this repository."""
