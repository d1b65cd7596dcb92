"""Expand `-S` options, written and parsed as for `dvc exp run -S`, into experiments."""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path

from dvc.utils.hydra import apply_overrides, get_hydra_sweeps
from dvc.utils.serialize import load_yaml

from digits.plumbing import paths
from digits.plumbing.errors import UserError
from tools import check_params


def experiments(options: Sequence[str]) -> dict[str, list[str]]:
    """Return the overrides of each experiment by name: all combinations of the values in `options`.

    An option is like 'train_hidden.units=100,300'. Raises UserError if one is not in Hydra's
    override grammar, or if params.yaml would be invalid with it.
    """
    try:
        points = [point[""] for point in get_hydra_sweeps({"": options})]
        with tempfile.TemporaryDirectory() as folder:
            for point in points:
                changed = Path(shutil.copy(paths.PARAMS, folder))
                apply_overrides(changed, point)
                check_params.check(load_yaml(changed))
    except Exception as error:
        # Hydra, OmegaConf, DVC and range() raise different errors. In DVC's, the cause says why.
        reason = " ".join(str(error.__cause__ or error).split())
        raise UserError(f"-S {' '.join(options)}: {reason}") from None
    return {name(point): point for point in points}


def name(overrides: Sequence[str]) -> str:
    """Return a name that Git allows, the same in any order: readable, and unique by a digest."""
    ordered = sorted(overrides)
    digest = hashlib.sha256("\n".join(ordered).encode()).hexdigest()[:8]
    # train_hidden.units=100 reads as units=100.
    shortened = (re.sub(r"^[^=]*\.", "", override) for override in ordered)
    readable = re.sub(r"[^A-Za-z0-9=]+", "-", "-".join(shortened))
    return f"{readable[:80]}-{digest}"
