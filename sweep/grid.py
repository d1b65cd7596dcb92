"""Expand `-S` options, written and parsed as for `dvc exp run -S`, into experiments."""

import hashlib
import re
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from dvc.utils.flatten import flatten
from dvc.utils.hydra import apply_overrides, get_hydra_sweeps, to_hydra_overrides
from dvc.utils.serialize import load_yaml

from digits.plumbing import paths
from digits.plumbing.errors import UserError
from revisions.files import format_value
from tools import check_params


def experiments(options: Sequence[str]) -> dict[str, list[str]]:
    """Return the overrides of each experiment by name: all combinations of the values in `options`.

    An option is like 'train_hidden.units=100,300'. Raises UserError if one is not in Hydra's
    override grammar, or if params.yaml would be invalid with it.
    """
    with refusal(options):
        if any(override.is_interval_sweep() for override in to_hydra_overrides(options)):
            raise UserError("an interval needs --trials")
        points = [point[""] for point in get_hydra_sweeps({"": options})]
        for point in points:
            parameters(point)
    return {name(point): point for point in points}


@contextmanager
def refusal(options: Sequence[str]) -> Iterator[None]:
    """Turn any error into a UserError that names the options."""
    try:
        yield
    except Exception as error:
        # Hydra, OmegaConf, DVC and range() raise different errors. The cause explains DVC's.
        reason = " ".join(str(error.__cause__ or error).split())
        raise UserError(f"-S {' '.join(options)}: {reason}") from None


def parameters(overrides: Sequence[str]) -> dict[str, str]:
    """Return all parameters with these changes, as in dvc.lock. Raises UserError if invalid."""
    with tempfile.TemporaryDirectory() as folder:
        changed = Path(shutil.copy(paths.PARAMS, folder))
        apply_overrides(changed, overrides)
        values = load_yaml(changed)
    check_params.check(values)
    return {key: format_value(value) for key, value in flatten(values).items()}


def name(overrides: Sequence[str]) -> str:
    """Return a name that Git allows, the same in any order: readable, and unique by a digest."""
    ordered = sorted(overrides)
    digest = hashlib.sha256("\n".join(ordered).encode()).hexdigest()[:8]
    # train_hidden.units=100 reads as units=100.
    shortened = (re.sub(r"^[^=]*\.", "", override) for override in ordered)
    readable = re.sub(r"[^A-Za-z0-9=]+", "-", "-".join(shortened))
    return f"{readable[:80]}-{digest}"
