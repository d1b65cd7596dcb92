"""The experiments that `-S` options stand for, written and parsed as for `dvc exp run -S`."""

import hashlib
import re
from collections.abc import Sequence
from typing import NamedTuple

from dvc.exceptions import DvcException
from dvc.utils.cli_parse import to_path_overrides
from dvc.utils.hydra import get_hydra_sweeps
from hydra.errors import HydraException
from omegaconf.errors import OmegaConfBaseException

from stages.lib import params
from stages.lib.errors import UserError

LONGEST_READABLE = 80


class Experiment(NamedTuple):
    """One point of the grid; the same overrides, in any order, have the same name."""

    name: str
    overrides: tuple[str, ...]


def experiments(options: Sequence[str]) -> list[Experiment]:
    """Every combination of the values in `options`, such as 'train_hidden.units=100,300'.

    Raises UserError if one of them is not in Hydra's override grammar.
    """
    try:
        combinations = get_hydra_sweeps(to_path_overrides(options))
    except (DvcException, HydraException, OmegaConfBaseException) as error:
        raise UserError(f"-S {' '.join(options)}: {' '.join(str(error).split())}") from None
    found = {}
    for files in combinations:
        overrides = tuple(
            override if path == str(params.PATH) else f"{path}:{override}"
            for path, lines in files.items()
            for override in lines
        )
        found[name(overrides)] = Experiment(name(overrides), overrides)
    return list(found.values())


def name(overrides: Sequence[str]) -> str:
    """A name that Git allows: readable, and with a digest that tells any two apart."""
    ordered = sorted(overrides)
    digest = hashlib.sha256("\n".join(ordered).encode()).hexdigest()[:8]
    # train_hidden.units=100 reads as units=100.
    shortened = (re.sub(r"^[^=]*\.", "", override) for override in ordered)
    readable = re.sub(r"[^A-Za-z0-9=]+", "-", "-".join(shortened))
    return f"{readable[:LONGEST_READABLE]}-{digest}"
