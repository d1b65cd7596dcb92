"""The library: what the stages, the tools and the rest of this repository share."""
