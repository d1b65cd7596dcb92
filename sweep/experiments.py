"""Which experiments to run, from `-S` options as for `dvc exp run`: a grid, or Optuna's choice."""

import hashlib
import re
import shlex
import zlib
from collections.abc import Iterator, Sequence, Set
from contextlib import suppress
from typing import Any

import optuna
from dvc.utils.hydra import get_hydra_sweeps, to_hydra_overrides
from hydra.core.override_parser.types import Override
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from digits.plumbing.errors import UserError
from revisions import runs
from revisions.files import format_value
from tools import check_params

# How often to ask for values until they are new.
MAX_ASKS = 500
# The name and the overrides of each experiment.
Experiments = Iterator[tuple[str, list[str]]]
optuna.logging.set_verbosity(optuna.logging.WARNING)


def grid(options: Sequence[str]) -> dict[str, list[str]]:
    """Return the overrides of each experiment by name: all combinations of the values in `options`.

    An option is like 'train_hidden.units=100,300'; an invalid one raises an error that says why.
    """
    if any(override.is_interval_sweep() for override in to_hydra_overrides(options)):
        raise UserError("an interval needs --trials")
    points = [point[""] for point in get_hydra_sweeps({"": options})]
    for point in points:
        check_params.overridden(point)
    return {name(point): point for point in points}


def name(overrides: Sequence[str]) -> str:
    """Return a name that Git allows, the same in any order: readable, and unique by a digest."""
    ordered = sorted(overrides)
    digest = hashlib.sha256("\n".join(ordered).encode()).hexdigest()[:8]
    # train_hidden.units=100 reads as units=100.
    shortened = (re.sub(r"^[^=]*\.", "", override) for override in ordered)
    readable = re.sub(r"[^A-Za-z0-9=]+", "-", "-".join(shortened))
    return f"{readable[:80]}-{digest}"


class Search:
    """A search for the values that give a model the best validation accuracy."""

    def __init__(self, options: Sequence[str], model: str | None, seed: int) -> None:
        """Parse options like 'train_hidden.units=range(100,2001,100)'; raises as `grid` does."""
        parsed = to_hydra_overrides(options)
        sweeps = [override for override in parsed if override.is_sweep_override()]
        self.fixed = [str(override.input_line) for override in parsed if override not in sweeps]
        self.parameters = check_params.overridden(self.fixed)
        self.space = {override.key_or_group: distribution(override) for override in sweeps}
        for key, values in self.space.items():
            for value in getattr(values, "choices", None) or (values.low, values.high):
                check_params.overridden([*self.fixed, f"{key}={value}"])
        groups = {key.partition(".")[0].removeprefix("train_") for key in self.space}
        if "prepare" in groups or self.parameters["prepare.validation_size"] == "0":
            raise UserError("a search needs validation images, the same in all experiments")
        models = re.findall(r"\w+", self.parameters["evaluate.models"])
        counting = [one for one in models if one in ({model} if model else groups)]
        if len(counting) != 1:
            raise UserError(f"--model: whose validation accuracy counts, {' or '.join(models)}?")
        self.model, self.seed = counting[0], seed

    def overrides(self, values: dict[str, Any]) -> list[str]:
        """Write values as overrides; fractions with three digits, for readable names."""
        texts = {k: f"{v:.3g}" if isinstance(v, float) else v for k, v in values.items()}
        return [*self.fixed, *(f"{key}={text}" for key, text in texts.items())]

    def trials(self, commit: str) -> dict[str, FrozenTrial]:
        """Return the experiments that this search could propose, by the names that it gives."""
        trials = {}
        for parameters, accuracy in runs.experiments(commit, self.model):
            # Some experiments have values that are not in the space.
            with suppress(KeyError, ValueError):
                values = {
                    key: one.to_external_repr(one.to_internal_repr(parameters.pop(key)))
                    for key, one in self.space.items()
                }
                trial = create_trial(params=values, distributions=self.space, value=accuracy)
                if parameters.items() <= self.parameters.items():
                    trials[name(self.overrides(values))] = trial
        return trials

    def proposals(self, commit: str, total: int, failed: Set[str]) -> Experiments:
        """Yield the next experiment until there are `total`, or no new ones.

        It depends on the seed and the experiments alone, those that run or `failed` included.
        """
        asked: dict[str, FrozenTrial] = {}
        while len(trials := asked | self.trials(commit)) < total:
            # A search that goes on must not repeat its random numbers.
            seed = zlib.crc32(f"{self.seed} {len(trials)}".encode())
            sampler = optuna.samplers.TPESampler(seed=seed)
            study = optuna.create_study(direction="maximize", sampler=sampler)
            names = sorted(trials)
            study.add_trials(trials[one] for one in names)
            for one in failed:
                study.tell(names.index(one), state=TrialState.FAIL, skip_if_finished=True)
            # TPE may ask for the best values again, but less and less: they count as running.
            for _ in range(MAX_ASKS):
                overrides = self.overrides(study.ask(self.space).params)
                if (new := name(overrides)) not in trials:
                    break
            else:
                return
            asked[new] = study.trials[-1]
            yield new, overrides

    def summary(self, commit: str) -> str:
        """Name the best accuracy, and the command that shows how good its values are."""
        trials = self.trials(commit).values()
        if not trials:
            return "No experiment of this search has ended."
        best = max(trials, key=lambda trial: trial.value or 0)
        key = f"train_{self.model}.seed"
        seed = int((self.parameters | best.params).get(key, 0))
        values = best.params | {key: f"range({seed + 1},{seed + 6})"}
        options = " ".join(f"-S {shlex.quote(option)}" for option in self.overrides(values))
        return (
            f"The best of {len(trials)} has a validation accuracy of {best.value:.4f}, which is "
            f"optimistic; with five new seeds: python -m sweep {options}"
        )


def distribution(override: Override) -> Any:
    """Convert a sweep from Hydra's grammar to Optuna's; as in a grid, a range excludes its end."""
    sweep: Any = override.value()
    if override.is_interval_sweep():
        number: Any = IntDistribution if isinstance(sweep.start, int) else FloatDistribution
        return number(sweep.start, sweep.end, log="log" in sweep.tags)
    values: Any = list(override.sweep_iterator(Override._convert_value))
    if override.is_range_sweep() and isinstance(sweep.range(), range):
        return IntDistribution(min(values), max(values), "log" in sweep.tags, abs(sweep.step))
    return CategoricalDistribution([*map(format_value, values)])
