"""`python -m handwriting`, on the models of a finished run."""

import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import numpy as np
import pytest
from PIL import Image

from digits import data
from digits.stage import run_main
from handwriting.__main__ import _answer, main
from tests.conftest import MODELS, Workspace
from tests.photographs import SEVEN, TWO, drawn, file_bytes, photograph
from tools import history

Command = Callable[..., CompletedProcess[str]]


@pytest.fixture
def handwriting(
    small: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs the command in this process, since starting TensorFlow takes seconds."""

    def run(*arguments: str | Path, stdin: bytes = b"") -> CompletedProcess[str]:
        monkeypatch.chdir(small.path)
        # They last as long as a command.
        for cached in (history.lock, history.read, history._tree):
            cached.cache_clear()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        monkeypatch.setattr(sys, "argv", ["handwriting", *map(str, arguments)])
        code: Any = 0
        try:
            run_main(main)
        except SystemExit as end:
            code = end.code
        printed = capsys.readouterr()
        if isinstance(code, str):
            return CompletedProcess(arguments, 1, printed.out, f"{printed.err}{code}\n")
        return CompletedProcess(arguments, code, printed.out, printed.err)

    return run


def test_a_folder_with_json_save_and_keep(small: Workspace, handwriting: Command) -> None:
    contents = {
        "2.jpeg": file_bytes(drawn(TWO), "JPEG"),
        "7.png": file_bytes(drawn(SEVEN)),
        "more/7.WEBP": file_bytes(drawn(SEVEN, size=100), "WEBP"),
        "more/notes.txt": b"not a picture",
        "white.jpg": file_bytes(Image.new("L", (300, 200), 255), "JPEG"),
    }
    (small.path / "photos/more").mkdir(parents=True)
    for name, content in contents.items():
        (small.path / "photos" / name).write_bytes(content)
    long = "7" * 300
    options = ("--json", "--save", "seen", "--label", "7", "--keep", "own")
    done = handwriting(long, "photos", "no.png", *options)
    assert done.returncode == 1
    refused_first, *answers, empty, absent = map(json.loads, done.stdout.splitlines())
    assert [answer["file"] for answer in answers] == [f"photos/{name}" for name in [*contents][:3]]
    for answer in answers:
        assert {answer[model]["digit"] for model in MODELS} <= set(range(10))
        assert all(0.1 <= answer[model]["probability"] <= 1 for model in MODELS)
        assert answer["unsure"] in (True, False)
    errors = [
        f"{long}: File name too long",
        "photos/white.jpg: no digit found; show one, dark on light or light on dark, with paper "
        "around it",
        "no.png: No such file or directory",
    ]
    assert [answer["error"] for answer in (refused_first, empty, absent)] == errors
    assert done.stderr.splitlines() == [
        "photos: files that are no pictures by their names: 1",
        *(f"error: {error}" for error in errors),
    ]
    seen = {path.name: np.asarray(Image.open(path)) for path in (small.path / "seen").iterdir()}
    assert sorted(seen) == ["0001_2.png", "0002_7.png", "0003_7.png"]
    assert all(image.shape == (28, 28) for image in seen.values())
    kept = [path.parent for path in (small.path / "own").rglob("*.png")]
    assert kept == [small.path / "own/7"] * 3


def test_standard_input_and_the_models_of_another_revision(
    small: Workspace, handwriting: Command
) -> None:
    """Those of the workspace are not those of the run: none may answer instead of another."""
    small.run("git", "branch", "before")
    shutil.copy(small.path / "models/linear.keras", small.path / "models/hidden.keras")
    wrong = handwriting("7.png").stderr
    assert wrong.startswith("error: models/hidden.keras is not the one in dvc.lock")
    shutil.rmtree(small.path / "models")
    done = handwriting("-", "-", "--rev", "before", stdin=file_bytes(drawn(SEVEN)))
    assert (done.returncode, done.stderr) == (1, "error: -: the file is empty\n")
    answers = (rf"{name} \d \(\d+\.\d%(, unsure)?\)" for name in MODELS)
    assert re.fullmatch(f"-: {', '.join(answers)}\n", done.stdout)

    shutil.rmtree(small.path / ".dvc/cache")
    for options, revision in ((["--rev", "before"], "before"), ([], "workspace")):
        lost = handwriting("7.png", *options).stderr
        assert lost.startswith(f"error: {revision}: no models/linear.keras (neither here nor in ")
        assert len(lost.splitlines()) == 1


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("empty", "empty: no pictures in this folder"),
        ("/dev/null", "/dev/null: not a regular file"),
        ("\x1b[2J.png", "?[2J.png: No such file"),
        ("7.png --rev nowhere", "'nowhere': no branch, tag, commit or experiment has that name"),
        ("7.png --label x --keep own", "x: not a label; labels are 0, 1, 2"),
        ("7.png --label 7", "--label and --keep only work together"),
        ("7.png --save empty", "empty: File exists"),
        ("7.png --save LICENSE/seen", "LICENSE/seen: "),
        ("score empty", "empty: no images kept here; "),
        ("dataset own --add-to small --as small", "data/raw/small.npz: exists already"),
        ("dataset own --add-to none --as new", "data/raw/none.npz: no such file"),
    ],
)
def test_bad_input(small: Workspace, handwriting: Command, command: str, error: str) -> None:
    """Mistakes that end the command before TensorFlow starts."""
    (small.path / "empty").mkdir()
    done = handwriting(*command.split())
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {error}")
    assert len(done.stderr.splitlines()) == 1


def test_labels_of_several_characters() -> None:
    labels = ["007", "1", "12"]
    for numbers, text in (([1, 2], "1 12"), ([0], "007")):
        assert _answer({"linear": np.eye(3)[numbers]}, labels)["linear"]["digit"] == text


def test_from_kept_images_to_a_data_set(small: Workspace, handwriting: Command) -> None:
    """Score them, add them to the training images, train on them."""
    digits = data.read_raw("mnist")
    rng = np.random.default_rng(0)
    row = Image.new("L", (800, 320), 255)
    for number, three in enumerate(np.flatnonzero(digits.y_test == 3)[:2]):
        (small.path / f"{number}.jpg").write_bytes(photograph(digits.x_test[three], rng))
        row.paste(drawn((SEVEN, TWO)[number]), (400 * number, 0))
    (small.path / "row.png").write_bytes(file_bytes(row))
    [answer] = handwriting("row.png", "--digits", "--json").stdout.splitlines()
    assert len(json.loads(answer)["hidden"]["digit"]) == 2

    handwriting("0.jpg", "1.jpg", "--label", "3", "--keep", "data/own")
    report = handwriting("score", "data/own").stdout.splitlines()
    assert report[0] == "data/own: 2 images"
    assert [line.split(":")[0] for line in report if "95% interval" in line] == MODELS
    handwriting("dataset", "data/own", "--add-to", "small", "--as", "small_own")
    small.set_params(**{"prepare.dataset": "small_own"})
    assert small.repro("prepare") == ["prepare"]
    with np.load(small.path / "data/prepared/train.npz") as train:
        assert len(train["labels"]) == 1500 + 2 - 300
