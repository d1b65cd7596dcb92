"""`python -m handwriting`, on the models of a finished run."""

import io
import json
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from digits import data
from digits.plumbing.files import write
from digits.plumbing.stage import run_main
from handwriting import preprocess
from handwriting.__main__ import main
from revisions import files
from tests.conftest import MODELS, Done, Workspace
from tests.photographs import SEVEN, drawn, file_bytes

Command = Callable[..., Done]
# Pictures of docs/handwriting.md.
PICTURES = "docs/handwriting"


@pytest.fixture
def handwriting(
    small: Workspace, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Command:
    """Runs the command in this process, since starting TensorFlow takes seconds."""

    def run(*arguments: str, stdin: bytes = b"") -> Done:
        monkeypatch.chdir(small.path)
        # They last as long as a command.
        for cached in (files.lock, files.read, files._tree):
            cached.cache_clear()
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin)))
        monkeypatch.setattr(sys, "argv", ["handwriting", *arguments])
        with pytest.raises(SystemExit) as end:
            run_main(main)
            sys.exit(0)
        printed = capsys.readouterr()
        # A text is printed, and the status is 1.
        text = end.value.code if isinstance(end.value.code, str) else ""
        return Done(arguments, bool(end.value.code), printed.out, printed.err + text)

    return run


def test_a_folder_with_json_save_and_keep(small: Workspace, handwriting: Command) -> None:
    write(small.path / PICTURES / "more/SEVEN.WEBP", file_bytes(drawn(SEVEN), "WEBP"))
    write(small.path / PICTURES / "more/notes.txt", b"not a picture")
    long = "7" * 300
    options = ("--json", "--save", "seen", "--label", "7", "--keep", "own")
    done = handwriting(long, PICTURES, "no.png", *options)
    assert done.returncode == 1
    too_long, several, *answers, absent = map(json.loads, done.stdout.splitlines())
    names = ["box.jpg", "desk.jpg", "lined.jpg", "more/SEVEN.WEBP", "one.jpg"]
    assert [answer["file"] for answer in answers] == [f"{PICTURES}/{name}" for name in names]
    for answer in answers:
        assert {answer[model]["digit"] for model in MODELS} <= set(range(10))
        assert all(0.1 <= answer[model]["probability"] <= 1 for model in MODELS)
        assert answer["unsure"] in (True, False)
    errors = [
        f"{long}: File name too long",
        f"{PICTURES}/2026.jpg: {preprocess.SEVERAL}",
        "no.png: No such file or directory",
    ]
    assert [answer["error"] for answer in (too_long, several, absent)] == errors
    assert done.stderr.splitlines() == [
        f"{PICTURES}: skipped 1 file without a picture extension",
        *(f"error: {error}" for error in errors),
    ]
    seen = {path.name: Image.open(path).size for path in (small.path / "seen").iterdir()}
    saved = [f"{number:04}_{Path(name).stem}.png" for number, name in enumerate(names, 1)]
    assert seen == dict.fromkeys(saved, (28, 28))
    assert len(list((small.path / "own/7").glob("*.png"))) == len(names)


def test_standard_input_and_another_revision(small: Workspace, handwriting: Command) -> None:
    """Those of the workspace are not those of the run: none may answer instead of another."""
    small.run("git", "branch", "before")
    shutil.copy(small.path / "models/linear.keras", small.path / "models/hidden.keras")
    wrong = handwriting("7.png").stderr
    assert wrong.startswith("error: models/hidden.keras does not match dvc.lock")
    shutil.rmtree(small.path / "models")
    row = (small.path / PICTURES / "2026.jpg").read_bytes()
    done = handwriting("-", "-", "--digits", "--rev", "before", stdin=row)
    assert (done.returncode, done.stderr) == (1, "error: -: the file is empty\n")
    answers = (rf"{name} \d{{4}} \(\d+\.\d%(, unsure)?\)" for name in MODELS)
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
        ("\x1b[2J.png", "?[2J.png: No such file"),
        ("7.png --rev nowhere", "'nowhere': no branch, tag, commit or experiment has that name"),
        ("7.png --save new --label x --keep own", "x: not a label; labels are 0, 1, 2"),
        ("7.png --label 7", "--label and --keep only work together"),
        ("7.png --save empty", "empty already exists; save to a new folder"),
        ("score empty", "empty: no images kept here; "),
        ("score damaged", "damaged/1/0.png: not a readable PNG file"),
        ("dataset own --add-to small --as mnist", "data/raw/mnist.npz already exists"),
        ("dataset own --add-to small --as ../new", "../new: not a name for a data set"),
        ("dataset own --add-to none --as new", "data/raw/none.npz: no such file"),
    ],
)
def test_bad_input(small: Workspace, handwriting: Command, command: str, error: str) -> None:
    (small.path / "empty").mkdir()
    write(small.path / "damaged/1/0.png", b"")
    # As in a fresh clone.
    (small.path / "data/raw/small.npz").unlink()
    done = handwriting(*command.split())
    assert (done.returncode, done.stdout) == (1, "")
    assert not (small.path / "new").exists()
    assert done.stderr.startswith(f"error: {error}")
    assert len(done.stderr.splitlines()) == 1


def test_from_kept_images_to_a_data_set(small: Workspace, handwriting: Command) -> None:
    """Score them, and add them to the training images alone."""
    handwriting(f"{PICTURES}/one.jpg", "--label", "1", "--keep", "data/own")
    report = handwriting("score", "data/own").stdout.splitlines()
    assert report[0] == "data/own: 1 image"
    assert [line.split(":")[0] for line in report if "95% interval" in line] == MODELS
    handwriting("dataset", "data/own", "--add-to", "small", "--as", "small_own")
    old, new = map(data.read_raw, ("small", "small_own"))
    [kept] = Path("data/own/1").iterdir()
    np.testing.assert_array_equal(new.x_train, [*old.x_train, Image.open(kept)])
    np.testing.assert_array_equal(new.y_train, [*old.y_train, 1])
    np.testing.assert_array_equal(new.x_test, old.x_test)
