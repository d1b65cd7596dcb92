"""Many pictures, drawn at random or simulated photographs, before the models of the default run."""

import json
import os
import subprocess
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


# The least shares that each model reads correctly, and the most that the hidden one reads wrongly;
# the rest is refused.
@pytest.mark.parametrize(
    ("pictures", "hidden", "wrong", "linear"),
    [
        (partial(written.sample, written.plain, 108, SEED), 0.97, 0.02, 0),
        # Close to its bound, where chance decides about fewer.
        (partial(written.sample, written.lined, 324, SEED), 0.95, 0.02, 0),
        (partial(written.sample, written.boxed, 108, SEED), 0.95, 0.02, 0),
        (partial(written.sample, written.underlined, 108, SEED), 0.95, 0.02, 0),
        (partial(written.sample, written.screenshot, 108, SEED), 0.95, 0.02, 0),
        (partial(written.sample, written.desk, 108, SEED), 0.85, 0.03, 0),
        (photographs, 0.96, 1, 0.86),
        (uci, 0.84, 1, 0.71),
    ],
)
def test_shares_of_pictures(
    mnist_pipeline: Workspace,
    tmp_path: Path,
    pictures: Callable[[], Pictures],
    hidden: float,
    wrong: float,
    linear: float,
) -> None:
    contents, labels = zip(*pictures(), strict=True)
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


def peak_memory(workspace: Workspace, *pictures: Path) -> int:
    """The most memory, in KB, that the command takes."""
    process = subprocess.Popen(
        [sys.executable, "-m", "handwriting", *pictures],
        cwd=workspace.path,
        env=workspace.environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    return os.wait4(process.pid, 0)[2].ru_maxrss


def test_memory_does_not_grow_with_the_number_of_pictures(
    mnist_pipeline: Workspace, tmp_path: Path
) -> None:
    for number, (content, _) in enumerate(written.sample(written.plain, 100, seed=0)):
        (tmp_path / f"{number}.jpg").write_bytes(content)
    few, many = (peak_memory(mnist_pipeline, *[tmp_path] * times) for times in (1, 10))
    assert many < few + MAX_GROWTH_KB
