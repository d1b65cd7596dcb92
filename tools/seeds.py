"""Settings compared over the seeds that they have been run with, and how to run more."""

import itertools
import shlex
import textwrap
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from digits import paths
from digits.comparison import FEWEST_SEEDS
from digits.errors import UserError
from tools import revisions, runs
from tools.revisions import WORKSPACE, Revision
from tools.runs import Model, Settings

# Of a command's lines, which are indented and continued.
COLUMNS = 95


class Sample(NamedTuple):
    """The test accuracies of one model's settings at a revision, by their seeds."""

    revision: Revision
    settings: Settings
    accuracies: dict[tuple[str, str], float]

    @property
    def missing(self) -> list[str]:
        """Seeds to train with, so that there are FEWEST_SEEDS."""
        used = {training for _, training in self.accuracies}
        unused = (seed for seed in map(str, itertools.count(1)) if seed not in used)
        return list(itertools.islice(unused, max(0, FEWEST_SEEDS - len(self.accuracies))))


def sample(revision: Revision, kind: str, known: Iterable[Model]) -> Sample:
    """What is known of the settings of one of paths.MODELS at a revision; `known`: all models.

    Raises UserError if the revision belongs to another pipeline.
    """
    metrics = revisions.read(revision, paths.metrics(kind))
    model = runs.model(kind, revision.name, revisions.stages(revision), metrics)
    if model is None:
        raise UserError(f"{revision.name}: made by another pipeline; its settings are not known")
    same = {other.seeds: other.test for other in known if other.settings == model.settings}
    return Sample(revision, model.settings, same | {model.seeds: model.test})


def commands(pairs: Iterable[tuple[Sample, Sample]]) -> list[str]:
    """The shell commands that train with the missing seeds of two revisions, line by line."""
    sides = zip(*(pair for pair in pairs if pair[0].settings != pair[1].settings), strict=True)
    lacking = [[sample for sample in side if sample.missing] for side in sides]
    lines = [line for samples in lacking if samples for line in _command(samples)]
    return [*lines, "  dvc queue start"] if lines else []


def _command(samples: Sequence[Sample]) -> list[str]:
    """The command that puts the missing seeds of one revision's models into DVC's queue."""
    revision = samples[0].revision
    seeds = {f"train_{sample.settings.kind}": ",".join(sample.missing) for sample in samples}
    stages = revisions.stages(revision)
    options, modules = revisions.unlike_workspace(
        {name: stages[name] for name in ("prepare", *seeds)}
    )
    before = after = ""
    if modules and revision.name != WORKSPACE:
        # The code is at the revision only, and with it the parameters.
        options = {}
        before, after = f"git switch --detach {revision.commit[:7]} && ", " && git switch -"
    options |= {f"{stage}.{runs.SEED}": values for stage, values in seeds.items()}
    settings = " ".join(f"-S {shlex.quote(f'{key}={value}')}" for key, value in options.items())
    command = f"{before}dvc exp run --queue {settings}{after}"
    lines = textwrap.wrap(command, COLUMNS, break_long_words=False, break_on_hyphens=False)
    return [f"  {line}" for line in " \\\n".join(lines).splitlines()]
