"""Many pictures, drawn at random or simulated photographs, before the models of the default run."""

import json
import os
import subprocess
import sys
from collections.abc import Callable
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
Picture = tuple[bytes, int]


def photographs() -> list[Picture]:
    """1,000 test images of MNIST."""
    digits = data.read_raw("mnist")
    rng = np.random.default_rng(0)
    numbers = rng.choice(len(digits.y_test), 1000, replace=False)
    return [(photograph(digits.x_test[n], rng), int(digits.y_test[n])) for n in numbers]


def uci() -> list[Picture]:
    """500 digits of other people, with a margin of paper: 8x8 pixels, enlarged."""
    with np.load(ROOT / "tests/data/uci_digits.npz") as file:
        return [(enlarged(image), int(label)) for image, label in zip(*file.values(), strict=True)]


def enlarged(image: np.ndarray) -> bytes:
    paper = 255 - np.pad(image, 1) * (255 / 16)
    large = Image.fromarray(paper.astype(np.uint8)).resize((240, 240), Image.Resampling.BICUBIC)
    return file_bytes(large)


def answers(workspace: Workspace, folder: Path, pictures: list[Picture]) -> list[dict[str, Any]]:
    """The command's answer to each picture."""
    for number, (content, label) in enumerate(pictures):
        (folder / f"{number:05}_{label}.png").write_bytes(content)
    done = workspace.run(sys.executable, "-m", "handwriting", folder, "--json", status=None)
    said = [json.loads(line) for line in done.stdout.splitlines()]
    assert len(said) == len(pictures)
    return said


def share(said: list[dict[str, Any]], model: str, correct: bool) -> float:
    """The share of pictures that a model reads correctly, or wrongly; the rest is refused."""
    return float(
        np.mean(
            [
                model in answer
                and (int(Path(answer["file"]).stem[-1]) == answer[model]["digit"]) == correct
                for answer in said
            ]
        )
    )


@pytest.mark.parametrize(
    ("scene", "least", "most"),
    [
        (written.plain, 0.97, 0.02),
        (written.lined, 0.95, 0.02),
        (written.boxed, 0.95, 0.02),
        (written.underlined, 0.95, 0.02),
        (written.screenshot, 0.95, 0.02),
        (written.desk, 0.85, 0.03),
    ],
)
def test_written_digits(
    mnist_pipeline: Workspace, tmp_path: Path, scene: written.Scene, least: float, most: float
) -> None:
    # Close to its bound, where chance decides about fewer.
    count = 324 if scene is written.lined else 108
    said = answers(mnist_pipeline, tmp_path, written.sample(scene, count, seed=101))
    assert share(said, "hidden", correct=True) >= least
    assert share(said, "hidden", correct=False) <= most


@pytest.mark.parametrize(
    ("pictures", "hidden", "linear"), [(photographs, 0.96, 0.86), (uci, 0.84, 0.71)]
)
def test_accuracy(
    mnist_pipeline: Workspace,
    tmp_path: Path,
    pictures: Callable[[], list[Picture]],
    hidden: float,
    linear: float,
) -> None:
    said = answers(mnist_pipeline, tmp_path, pictures())
    assert share(said, "hidden", correct=True) >= hidden
    assert share(said, "linear", correct=True) >= linear


def test_other_pictures_are_refused_or_unsure(mnist_pipeline: Workspace, tmp_path: Path) -> None:
    rng = np.random.default_rng(101)
    said = answers(mnist_pipeline, tmp_path, [(written.no_digit(rng), 0) for _ in range(300)])
    assert np.mean([not answer.get("unsure", True) for answer in said]) <= 0.15


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
    mnist_pipeline: Workspace, tmp_path: Path
) -> None:
    pictures = []
    for number, (content, _) in enumerate(written.sample(written.plain, 100, seed=0)):
        pictures.append(tmp_path / f"{number}.jpg")
        pictures[-1].write_bytes(content)
    few, many = (peak_memory(mnist_pipeline, pictures * times) for times in (1, 10))
    assert many < few + MAX_GROWTH_KB
