"""Data, training, metrics and figures. Edit a module here to change what the pipeline does."""
