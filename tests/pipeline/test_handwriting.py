"""`python -m handwriting`, on the models of a finished run."""

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from digits.plumbing.files import write
from handwriting import preprocess
from tests.conftest import MODELS, Workspace
from tests.photographs import SEVEN, drawn, file_bytes

# Pictures of docs/handwriting.md.
PICTURES = "docs/handwriting"


def test_a_folder_with_json_save_and_keep(small: Workspace) -> None:
    write(small.path / PICTURES / "more/SEVEN.WEBP", file_bytes(drawn(SEVEN), "WEBP"))
    write(small.path / PICTURES / "more/notes.txt", b"not a picture")
    long = "7" * 300
    options = ("--json", "--save", "seen", "--label", "7", "--keep", "own")
    done = small.run_module("handwriting", long, PICTURES, "no.png", *options, status=1)
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


def test_standard_input_and_another_revision(small: Workspace) -> None:
    """Those of the workspace are not those of the run: none may answer instead of another."""
    small.run("git", "branch", "before")
    write(small.path / "models/hidden.keras", b"another one")
    wrong = small.run_module("handwriting", "7.png", status=1).stderr
    assert wrong.startswith("error: models/hidden.keras does not match dvc.lock")
    shutil.rmtree(small.path / "models")
    command = f"python -m handwriting - - --digits --rev before < {PICTURES}/2026.jpg"
    done = small.run("sh", "-c", command, status=1)
    assert done.stderr == "error: -: the file is empty\n"
    answers = (rf"{name} \d{{4}} \(\d+\.\d%(, unsure)?\)" for name in MODELS)
    assert re.fullmatch(f"-: {', '.join(answers)}\n", done.stdout)

    shutil.rmtree(small.path / ".dvc/cache")
    for options, revision in ((["--rev", "before"], "before"), ([], "workspace")):
        (line,) = small.run_module("handwriting", "7.png", *options, status=1).stderr.splitlines()
        assert re.match(rf"error: {revision}: no \S+ \(neither here nor in ", line), line


def test_models_for_images_of_a_different_shape(small: Workspace) -> None:
    path = small.path / "data/prepared/dataset.json"
    content = path.read_text().replace("28", "32")
    path.unlink()
    path.write_text(content)
    small.dvc("commit", "--force", "--quiet", "prepare")
    error = "error: workspace: its images have the shape (32, 32), but handwriting is read as 28x28"
    assert small.run_module("handwriting", "7.png", status=1).stderr.startswith(error)


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
def test_bad_input(small: Workspace, command: str, error: str) -> None:
    (small.path / "empty").mkdir()
    write(small.path / "damaged/1/0.png", b"")
    # As in a fresh clone.
    (small.path / "data/raw/small.npz").unlink()
    done = small.run_module("handwriting", *command.split(), status=1)
    (line,) = done.stderr.splitlines()
    assert line.startswith(f"error: {error}")
    assert done.stdout == "" and not (small.path / "new").exists()


def test_from_kept_images_to_a_data_set(small: Workspace) -> None:
    """Score them, and add them to the training images alone."""
    small.run_module("handwriting", f"{PICTURES}/one.jpg", "--label", "1", "--keep", "data/own")
    report = small.run_module("handwriting", "score", "data/own").stdout.splitlines()
    assert report[0] == "data/own: 1 image"
    assert [line.split(":")[0] for line in report if "95% interval" in line] == MODELS
    small.run_module("handwriting", "dataset", "data/own", "--add-to", "small", "--as", "new")
    old, new = (np.load(small.path / f"data/raw/{name}.npz") for name in ("small", "new"))
    [kept] = (small.path / "data/own/1").iterdir()
    np.testing.assert_array_equal(new["x_train"], [*old["x_train"], Image.open(kept)])
    np.testing.assert_array_equal(new["y_train"], [*old["y_train"], 1])
    np.testing.assert_array_equal(new["x_test"], old["x_test"])
