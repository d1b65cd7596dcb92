"""Photographs, as `tests/photographs.py` simulates them, before the models of the default run."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from digits import datasets
from tests.conftest import Workspace
from tests.photographs import photograph

COUNT = 1000
MOST_GROWTH_KB = 50_000


@pytest.fixture(scope="module")
def photographs(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """COUNT test images of MNIST; the name of each ends with its label."""
    folder = tmp_path_factory.mktemp("photographs")
    digits = datasets.read("mnist")
    rng = np.random.default_rng(0)
    for number in rng.choice(len(digits.y_test), COUNT, replace=False):
        path = folder / f"{number:05}_{digits.y_test[number]}.jpg"
        path.write_bytes(photograph(digits.x_test[number], rng))
    return folder


def test_accuracy(mnist_pipeline: Workspace, photographs: Path) -> None:
    """A photograph that is refused counts as wrong."""
    done = mnist_pipeline.run(
        sys.executable, "-m", "handwriting", photographs, "--json", status=None
    )
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(answers) == COUNT
    for model, least in (("hidden", 0.96), ("linear", 0.86)):
        correct = [
            "error" not in answer and Path(answer["file"]).stem[-1] == str(answer[model]["digit"])
            for answer in answers
        ]
        assert np.mean(correct) >= least, model


def peak_memory(workspace: Workspace, pictures: list[Path]) -> int:
    """The most memory, in KB, that the command takes for these pictures."""
    process = subprocess.Popen(
        [sys.executable, "-m", "handwriting", *pictures],
        cwd=workspace.path,
        env=workspace.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    _, _, usage = os.wait4(process.pid, 0)
    return usage.ru_maxrss


def test_memory_does_not_grow_with_the_number_of_pictures(
    mnist_pipeline: Workspace, photographs: Path
) -> None:
    pictures = sorted(photographs.iterdir())[:100]
    few, many = (peak_memory(mnist_pipeline, pictures * times) for times in (1, 10))
    assert many < few + MOST_GROWTH_KB
