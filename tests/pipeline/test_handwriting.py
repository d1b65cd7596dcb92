"""`python -m handwriting`, on the models of a finished run."""

import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pytest
from PIL import Image

from digits import data
from digits.stage import run_main
from handwriting.__main__ import _answers, main
from tests.conftest import MODELS, Workspace
from tests.photographs import SEVEN, TWO, drawn, file_bytes, photograph
from tools import history


class Done(NamedTuple):
    """The status and the output of the command."""

    status: int
    stdout: str
    stderr: str


@pytest.fixture
def handwriting(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Done]:
    """Runs the command in this process, since starting TensorFlow takes seconds."""

    def run(workspace: Workspace, *arguments: str | Path, stdin: bytes = b"") -> Done:
        monkeypatch.chdir(workspace.path)
        # They last as long as a command.
        for cached in (history.lock, history.read, history._tree):
            cached.cache_clear()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        monkeypatch.setattr(sys, "argv", ["handwriting", *map(str, arguments)])
        code = None
        try:
            run_main(main)
        except SystemExit as end:
            code = end.code
        printed = capsys.readouterr()
        if isinstance(code, str):
            return Done(1, printed.out, f"{printed.err}{code}\n")
        return Done(int(code or 0), printed.out, printed.err)

    return run


def pictures(workspace: Workspace) -> Path:
    """A folder with three pictures and a few things that are none."""
    folder = workspace.path / "photos"
    (folder / "more").mkdir(parents=True)
    (folder / "7.png").write_bytes(file_bytes(drawn(SEVEN)))
    (folder / "2.jpeg").write_bytes(file_bytes(drawn(TWO), "JPEG"))
    (folder / "more" / "7.WEBP").write_bytes(file_bytes(drawn(SEVEN, size=100), "WEBP"))
    (folder / "more" / "notes.txt").write_text("not a picture")
    (folder / "text.png").write_text("not a picture either")
    (folder / "white.jpg").write_bytes(file_bytes(Image.new("L", (300, 200), 255), "JPEG"))
    return folder


@pytest.mark.usefixtures("tensorflow_started")
def test_a_folder_with_json_save_and_keep(
    small: Workspace, handwriting: Callable[..., Done]
) -> None:
    folder = pictures(small)
    options = ("--json", "--save", "seen", "--label", "7", "--keep", "own")
    done = handwriting(small, folder, "no.png", *options)
    assert done.status == 1
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [Path(answer["file"]).name for answer in answers] == [
        "2.jpeg", "7.png", "7.WEBP", "text.png", "white.jpg", "no.png",
    ]  # fmt: skip
    for answer in answers[:3]:
        for model in MODELS:
            assert answer[model]["digit"] in range(10)
            assert 0.1 <= answer[model]["probability"] <= 1
        assert answer["unsure"] in (True, False)
    assert [answer["error"].partition(": ")[2] for answer in answers[3:]] == [
        "not a picture in a known format, such as PNG or JPEG",
        "no digit found; show one, dark on light or light on dark, with paper around it",
        "no such file",
    ]
    ignored, *errors = done.stderr.splitlines()
    assert ignored == f"{folder}: files that are no pictures by their names: 1"
    assert errors == [f"error: {answer['error']}" for answer in answers[3:]]

    seen = {path.name: np.asarray(Image.open(path)) for path in (small.path / "seen").iterdir()}
    assert sorted(seen) == ["2.png", "7-2.png", "7.png"]
    assert all(image.shape == (28, 28) for image in seen.values())
    kept = [path.relative_to(small.path) for path in (small.path / "own").rglob("*.png")]
    assert len(kept) == 3
    assert all(path.parent == Path("own/7") for path in kept)
    assert not list(small.path.rglob(".*.part"))


@pytest.mark.usefixtures("tensorflow_started")
def test_standard_input_and_the_models_of_another_revision(
    small: Workspace, handwriting: Callable[..., Done]
) -> None:
    """The workspace has no models: those that answer are the revision's, from DVC's cache."""
    small.run("git", "branch", "before")
    shutil.rmtree(small.path / "models")

    done = handwriting(small, "-", "--rev", "before", stdin=file_bytes(drawn(SEVEN)))
    assert (done.status, done.stderr) == (0, "")
    assert re.fullmatch(
        "-: " + ", ".join(rf"{name} \d \(\d+\.\d%(, unsure)?\)" for name in MODELS) + "\n",
        done.stdout,
    )
    empty = handwriting(small, "-", "--rev", "before")
    assert (empty.status, empty.stderr) == (1, "error: -: the file is empty\n")

    shutil.rmtree(small.path / ".dvc/cache")
    lost = handwriting(small, "7.png", "--rev", "before").stderr
    assert lost.startswith("error: before: no models/linear.keras (neither here nor in the DVC ")
    assert len(lost.splitlines()) == 1
    missing = handwriting(small, "7.png").stderr
    assert missing.startswith("error: workspace: no models/linear.keras (neither here nor in the ")


def test_models_that_are_not_those_of_the_run(
    small: Workspace, handwriting: Callable[..., Done]
) -> None:
    shutil.copy(small.path / "models/linear.keras", small.path / "models/hidden.keras")
    done = handwriting(small, "7.png")
    assert (done.status, done.stdout) == (1, "")
    assert done.stderr.startswith("error: models/hidden.keras is not the one in dvc.lock")


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["empty"], "empty: no pictures in this folder"),
        (
            ["7.png", "--rev", "nowhere"],
            "'nowhere': no branch, tag, commit or experiment has that name",
        ),
        (["7.png", "--label", "x", "--keep", "own"], "x: not a label; labels are 0, 1, 2"),
        (["7.png", "--label", "7"], "--label and --keep only work together"),
        (["-", "-"], "-: standard input can be read only once"),
        (["7.png", "--save", "loop"], "loop: File exists"),
        (["/dev/null"], "/dev/null: not a regular file"),
        (["7" * 300], f"{'7' * 300}: File name too long"),
        (["\x1b[2J.png"], "?[2J.png: no such file"),
        (["7.png", "--save", "."], ".: not empty; save to a new folder"),
        (["7.png", "--save", "LICENSE/seen"], "LICENSE/seen: "),
        (["7.png", "--label", "7", "--keep", "LICENSE"], "LICENSE: "),
        (["score", "empty"], "empty: no images kept here; "),
        (
            ["dataset", "own", "--add-to", "small", "--as", "small"],
            "data/raw/small.npz: exists already",
        ),
        (["dataset", "own", "--add-to", "none", "--as", "new"], "data/raw/none.npz: no such file"),
    ],
)
def test_bad_input(
    small: Workspace, handwriting: Callable[..., Done], arguments: list[str], error: str
) -> None:
    """Mistakes that end the command before TensorFlow starts."""
    (small.path / "empty").mkdir()
    (small.path / "loop").symlink_to("loop")
    done = handwriting(small, *arguments)
    assert (done.status, done.stdout) == (1, "")
    assert done.stderr.startswith(f"error: {error}")
    assert len(done.stderr.splitlines()) == 1


def test_labels_of_several_characters() -> None:
    found = {"linear": np.eye(3)[[1, 2, 0]]}
    answers = _answers(found, [np.empty((2, 28, 28)), np.empty((1, 28, 28))], ["007", "1", "12"])
    assert [answer.models["linear"]["digit"] for answer in answers] == ["1 12", "007"]


@pytest.mark.usefixtures("tensorflow_started")
def test_from_kept_images_to_a_data_set(small: Workspace, handwriting: Callable[..., Done]) -> None:
    """Score them, add them to the training images, train on them."""
    digits = data.read_raw("mnist")
    rng = np.random.default_rng(0)
    for number, three in enumerate(np.flatnonzero(digits.y_test == 3)[:2]):
        (small.path / f"{number}.jpg").write_bytes(photograph(digits.x_test[three], rng))
    handwriting(small, "0.jpg", "1.jpg", "--label", "3", "--keep", "data/own")
    row = Image.new("L", (800, 320), 255)
    for number, points in enumerate((SEVEN, TWO)):
        row.paste(drawn(points), (400 * number, 0))
    (small.path / "row.png").write_bytes(file_bytes(row))
    [answer] = handwriting(small, "row.png", "--digits", "--json").stdout.splitlines()
    assert len(json.loads(answer)["hidden"]["digit"]) == 2
    report = handwriting(small, "score", "data/own").stdout.splitlines()
    assert report[0] == "data/own: 2 images"
    assert [line.split(":")[0] for line in report if "95% interval" in line] == MODELS

    handwriting(small, "dataset", "data/own", "--add-to", "small", "--as", "small_own")
    small.set_params(**{"prepare.dataset": "small_own"})
    assert small.repro("prepare") == ["prepare"]
    with np.load(small.path / "data/prepared/train.npz") as train:
        assert len(train["labels"]) == 1500 + 2 - 300
