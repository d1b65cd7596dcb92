"""Compile the project's modules from source, and keep each source.

Otherwise Python may run a compiled file that only seems to belong to its source, and the file may
have been another one when Python read it.
"""

import sys
from importlib.machinery import SOURCE_SUFFIXES, FileFinder, SourceFileLoader
from pathlib import Path
from types import CodeType

ROOT = Path(__file__).parents[2]
# The source of each module that this process has compiled, by its path relative to ROOT.
compiled: dict[Path, bytes] = {}


class Loader(SourceFileLoader):
    """Loads a module from its source."""

    def get_code(self, fullname: str) -> CodeType:
        """Compile the module; the argument is its name."""
        source = self.get_data(self.path)
        compiled[Path(self.path).relative_to(ROOT)] = source
        return self.source_to_code(source, self.path)


def install() -> None:
    """Have Python load the project's modules with `Loader` from now on."""

    def ours(folder: str) -> bool:
        # Python may be installed in the project, or the project in a folder of Python's.
        apart = ROOT.is_relative_to(sys.prefix) or not Path(folder).is_relative_to(sys.prefix)
        return Path(folder).is_relative_to(ROOT) and apart

    def hook(folder: str) -> FileFinder:
        if not ours(folder):
            raise ImportError
        return FileFinder(folder, (Loader, SOURCE_SUFFIXES))

    sys.path_hooks.insert(0, hook)
    for folder in filter(ours, list(sys.path_importer_cache)):
        del sys.path_importer_cache[folder]
    for module in list(sys.modules.values()):
        file = getattr(module, "__file__", None)
        if file and ours(file):
            compiled[Path(file).relative_to(ROOT)] = Path(file).read_bytes()
