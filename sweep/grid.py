"""The experiments that `-S` options stand for, written and parsed as for `dvc exp run -S`."""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from dvc.utils.hydra import get_hydra_sweeps, to_hydra_overrides
from hydra.core.override_parser.types import OverrideType
from hydra.errors import HydraException
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException

from digits import params
from digits.errors import UserError
from tools import settings


def experiments(options: Sequence[str]) -> dict[str, list[str]]:
    """The overrides of each experiment, by its name: every combination of the values in `options`.

    An option is like 'train_hidden.units=100,300'. Raises UserError if one is not in Hydra's
    override grammar, or if params.yaml would be invalid with it.
    """
    try:
        points = [point[""] for point in get_hydra_sweeps({"": options})]
        for point in points:
            changed = OmegaConf.create(params.read())
            for override in to_hydra_overrides(point):
                if override.type is not OverrideType.CHANGE:
                    raise ValueError("parameters cannot be added or removed")
                group = override.key_or_group.partition(".")[0]
                if group not in changed:
                    raise ValueError(f"params.yaml has no group {group}")
                OmegaConf.update(changed, override.key_or_group, override.value(), force_add=True)
            values: Any = OmegaConf.to_container(changed, resolve=True)
            settings.check(values, "-S")
    # A ValueError from DVC, or from Python's range().
    except (HydraException, OmegaConfBaseException, ValueError) as error:
        raise UserError(f"-S {' '.join(options)}: {' '.join(str(error).split())}") from None
    return {name(point): point for point in points}


def name(overrides: Sequence[str]) -> str:
    """A name that Git allows, the same in any order: readable, and with a digest to be unique."""
    ordered = sorted(overrides)
    digest = hashlib.sha256("\n".join(ordered).encode()).hexdigest()[:8]
    # train_hidden.units=100 reads as units=100.
    shortened = (re.sub(r"^[^=]*\.", "", override) for override in ordered)
    readable = re.sub(r"[^A-Za-z0-9=]+", "-", "-".join(shortened))
    return f"{readable[:80]}-{digest}"
