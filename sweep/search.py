"""Search with Optuna, which proposes the next experiment from all that there are."""

import re
import shlex
import zlib
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import suppress
from typing import Any

import optuna
from dvc.utils.hydra import to_hydra_overrides
from hydra.core.override_parser.types import Override
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from optuna.trial import FrozenTrial, TrialState, create_trial

from digits.plumbing.errors import UserError
from revisions.files import format_value
from sweep import grid

# How often to draw values until they are new.
MAX_DRAWS = 1000
# The parameters of an experiment, as in dvc.lock, and the validation accuracy.
Experiment = tuple[dict[str, str], float]
optuna.logging.set_verbosity(optuna.logging.WARNING)


class Search:
    """A search for the values that give a model the best validation accuracy."""

    def __init__(self, options: Sequence[str], model: str = "", seed: int = 1) -> None:
        """Parse options like 'train_hidden.units=range(100,2001,100)'; raises UserError."""
        self.seed = seed
        with grid.refusal(options):
            parsed = {override.key_or_group: override for override in to_hydra_overrides(options)}
            sweeps = {key: one for key, one in parsed.items() if one.is_sweep_override()}
            self.fixed = [str(one.input_line) for key, one in parsed.items() if key not in sweeps]
            self.parameters = grid.parameters(self.fixed)
            self.space = {key: distribution(one) for key, one in sweeps.items()}
            for key, values in self.space.items():
                for value in getattr(values, "choices", None) or (values.low, values.high):
                    grid.parameters([*self.fixed, f"{key}={value}"])
            groups = {key.partition(".")[0].removeprefix("train_") for key in sweeps}
            if "prepare" in groups or self.parameters["prepare.validation_size"] == "0":
                raise UserError("a search needs validation images, the same in all experiments")
        models = re.findall(r"\w+", self.parameters["evaluate.models"])
        counts = {model} if model else groups
        if len(counts) != 1 or not counts.issubset(models):
            raise UserError(f"--model: whose validation accuracy counts, {' or '.join(models)}?")
        self.model = counts.pop()

    def overrides(self, values: dict[str, Any]) -> list[str]:
        """Write values as overrides; fractions with three digits, for readable names."""
        texts = {k: f"{v:.3g}" if isinstance(v, float) else v for k, v in values.items()}
        return [*self.fixed, *(f"{key}={text}" for key, text in texts.items())]

    def trials(self, experiments: Sequence[Experiment]) -> dict[str, FrozenTrial]:
        """Return the experiments that this search could propose, by the names that it gives."""
        trials = {}
        for parameters, accuracy in experiments:
            fixed = {key: text for key, text in parameters.items() if key not in self.space}
            # Some experiments have values that are not in the space.
            with suppress(KeyError, ValueError):
                # Choices are texts.
                kinds: Any = {key: type(getattr(one, "low", "")) for key, one in self.space.items()}
                values = {key: kind(parameters[key]) for key, kind in kinds.items()}
                trial = create_trial(params=values, distributions=self.space, value=accuracy)
                if fixed.items() <= self.parameters.items():
                    trials[grid.name(self.overrides(values))] = trial
        return trials

    def proposals(
        self, total: int, read: Callable[[], Sequence[Experiment]], failed: Container[str]
    ) -> Iterator[tuple[str, list[str]]]:
        """Yield the next experiment's name and overrides until there are `total`.

        It depends only on the seed and the experiments: those that `read` returns, and those that
        were proposed before and are running or `failed`.
        """
        asked: dict[str, dict[str, Any]] = {}
        while True:
            trials = self.trials(read())
            for name, values in asked.items():
                state = TrialState.FAIL if name in failed else TrialState.RUNNING
                trial = create_trial(params=values, distributions=self.space, state=state)
                trials.setdefault(name, trial)
            if len(trials) >= total:
                return
            # A search that goes on must not repeat its random numbers.
            seed = zlib.crc32(f"{self.seed} {len(trials)}".encode())
            study = optuna.create_study(direction="maximize")
            study.sampler = optuna.samplers.TPESampler(seed=seed)
            study.add_trials(trials.values())
            for draw in range(MAX_DRAWS):
                values = study.ask(self.space).params
                overrides = self.overrides(values)
                if (name := grid.name(overrides)) not in trials:
                    break
                # TPE may propose the best values again and again.
                study.sampler = optuna.samplers.RandomSampler(seed=draw)
            else:
                return
            asked[name] = values
            yield name, overrides

    def summary(self, experiments: Sequence[Experiment]) -> str:
        """Name the best accuracy, and the command that shows how good its values are."""
        trials = self.trials(experiments).values()
        if not trials:
            return "No experiment of this search has ended."
        best = max(trials, key=lambda trial: trial.value or 0)
        overrides, key = self.overrides(best.params), f"train_{self.model}.seed"
        seed = int(grid.parameters(overrides)[key])
        again = [one for one in overrides if not one.startswith(f"{key}=")]
        options = [*again, f"{key}=range({seed + 1},{seed + 6})"]
        return (
            f"The best of {len(trials)} has a validation accuracy of {best.value:.4f}, which is "
            "optimistic; with five new seeds: python -m sweep "
            + " ".join(f"-S {shlex.quote(option)}" for option in options)
        )


def distribution(override: Override) -> Any:
    """Convert a sweep from Hydra's grammar to Optuna's; as in a grid, a range excludes its end."""
    sweep: Any = override.value()
    if override.is_interval_sweep():
        if isinstance(sweep.start, int):
            return IntDistribution(sweep.start, sweep.end, log="log" in sweep.tags)
        low, high = (float(f"{end:.3g}") for end in (sweep.start, sweep.end))
        return FloatDistribution(low, high, log="log" in sweep.tags)
    values: Any = list(override.sweep_iterator(Override._convert_value))
    if override.is_range_sweep() and isinstance(values[0], int):
        return IntDistribution(min(values), max(values), "log" in sweep.tags, abs(sweep.step))
    return CategoricalDistribution([*dict.fromkeys(map(format_value, values))])
