"""Many pictures, drawn at random or simulated photographs, before the models of the default run."""

import json
import os
import sys
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from digits import data
from tests import written
from tests.conftest import ROOT, Workspace
from tests.photographs import file_bytes, photograph

MAX_GROWTH_KB = 50_000
SEED = 101
Pictures = list[tuple[bytes, int]]
Make = Callable[[], Pictures]
Bounds = tuple[float, float, float]


def photographs() -> Pictures:
    """1,000 test images of MNIST."""
    digits = data.read_raw("mnist")
    rng = np.random.default_rng(0)
    numbers = rng.choice(len(digits.y_test), 1000, replace=False)
    return [(photograph(digits.x_test[n], rng), int(digits.y_test[n])) for n in numbers]


def uci() -> Pictures:
    """500 digits of other people, with a margin of paper: 8x8 pixels, enlarged."""
    with np.load(ROOT / "tests/data/uci_digits.npz") as file:
        return [(enlarged(image), int(label)) for image, label in zip(*file.values(), strict=True)]


def enlarged(image: np.ndarray) -> bytes:
    paper = 255 - np.pad(image, 1) * (255 / 16)
    large = Image.fromarray(paper.astype(np.uint8)).resize((240, 240), Image.Resampling.BICUBIC)
    return file_bytes(large)


def answers(workspace: Workspace, folder: Path, pictures: Sequence[bytes]) -> list[dict[str, Any]]:
    """The command's answer to each picture."""
    for number, content in enumerate(pictures):
        (folder / f"{number:05}.png").write_bytes(content)
    done = workspace.run_module("handwriting", folder, "--json", status=None)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(said) == len(pictures)
    return said


# The least share that the hidden model reads correctly, the most that it reads wrongly (the rest is
# refused), and the least that the linear one reads correctly.
@pytest.mark.parametrize(
    ("make", "bounds"),
    [
        (partial(written.sample, written.plain, 108, SEED), (0.97, 0.02, 0)),
        (partial(written.sample, written.shadowed, 108, SEED), (0.9, 0.02, 0)),
        (partial(written.sample, partial(written.shadowed, band=True), 108, SEED), (0.9, 0.05, 0)),
        # Close to its bound, where chance decides about fewer.
        (partial(written.sample, written.lined, 324, SEED), (0.95, 0.02, 0)),
        (partial(written.sample, written.boxed, 108, SEED), (0.95, 0.02, 0)),
        (partial(written.sample, written.underlined, 108, SEED), (0.95, 0.02, 0)),
        (partial(written.sample, written.screenshot, 108, SEED), (0.95, 0.02, 0)),
        (partial(written.sample, written.desk, 108, SEED), (0.85, 0.03, 0)),
        (photographs, (0.96, 1, 0.86)),
        (uci, (0.84, 1, 0.71)),
    ],
)
def test_shares(mnist_pipeline: Workspace, tmp_path: Path, make: Make, bounds: Bounds) -> None:
    contents, labels = zip(*make(), strict=True)
    hidden, wrong, linear = bounds
    said = answers(mnist_pipeline, tmp_path, contents)
    for model, least, most in (("hidden", hidden, wrong), ("linear", linear, 1)):
        found = np.array([answer[model]["digit"] if model in answer else -1 for answer in said])
        correct = found == labels
        assert np.mean(correct) >= least
        assert np.mean(~correct & (found >= 0)) <= most


def test_other_pictures_are_refused_or_unsure(mnist_pipeline: Workspace, tmp_path: Path) -> None:
    rng = np.random.default_rng(SEED)
    said = answers(mnist_pipeline, tmp_path, [written.no_digit(rng) for _ in range(300)])
    assert np.mean([not answer.get("unsure", True) for answer in said]) <= 0.15


def test_memory_does_not_grow(mnist_pipeline: Workspace, tmp_path: Path) -> None:
    for number, (content, _) in enumerate(written.sample(written.plain, 100, seed=0)):
        (tmp_path / f"{number}.jpg").write_bytes(content)
    command = (sys.executable, "-m", "handwriting")
    peaks = []
    for times in (1, 10):
        with mnist_pipeline.start(*command, *[str(tmp_path)] * times) as process:
            assert process.stdout and len(process.stdout.readlines()) > 90 * times
            peaks.append(os.wait4(process.pid, 0)[2].ru_maxrss)
    assert peaks[1] < peaks[0] + MAX_GROWTH_KB
