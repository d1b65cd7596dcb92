"""Where the speed figures in the README come from: `make bench`."""
