"""The tools' texts, and the data set file that `make dataset` writes."""

import io
import zipfile
from pathlib import Path

import numpy as np
import pytest

from digits import files, params, paths
from digits.datasets import Digits
from digits.errors import UserError
from tests.conftest import ROOT, committed
from tools import dataset, doctor

@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    paths.PARAMS.write_bytes(committed("params.yaml"))


def test_a_data_set_of_another_name_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NAME", "cifar10")
    with pytest.raises(UserError, match="NAME is 'cifar10'; must be mnist or fashion_mnist"):
        dataset.main()


def test_mnist_is_the_shipped_file_byte_for_byte() -> None:
    shipped = files.read(ROOT / paths.raw("mnist"))
    with np.load(io.BytesIO(shipped)) as arrays:
        digits = Digits(*(arrays[name] for name in Digits._fields))
    with zipfile.ZipFile(io.BytesIO(shipped)) as archive:
        version = archive.infolist()[0].extract_version
    with zipfile.ZipFile(io.BytesIO(), "w") as archive:
        archive.open("a", "w", force_zip64=True).close()
        if archive.infolist()[0].extract_version != version:
            pytest.skip("Python before 3.11.4 writes other headers into a zip")
    assert dataset.content(digits) == shipped


def findings() -> list[tuple[str, str, str]]:
    return list(doctor._params())


def test_doctor_names_every_problem_in_the_parameters() -> None:
    text = params.PATH.read_text()
    params.PATH.write_text(
        text.replace("units: 1000", "units: 0").replace("epochs: 5", "epochs: 0")
    )
    assert [(verdict, name, line.split(" is ")[0]) for verdict, name, line in findings()] == [
        ("PROBLEM", "params", "params.yaml: train_linear.epochs"),
        ("PROBLEM", "params", "params.yaml: train_hidden.epochs"),
        ("PROBLEM", "params", "params.yaml: train_hidden.units"),
    ]
    params.PATH.unlink()
    ((verdict, name, _),) = findings()
    assert (verdict, name) == ("PROBLEM", "params")
    params.PATH.symlink_to(params.PATH)
    ((verdict, name, _),) = findings()
    assert (verdict, name) == ("PROBLEM", "params")


def test_doctor_names_what_is_wrong_with_the_data() -> None:
    path = paths.raw("mnist")
    found, *_ = reversed(findings())
    assert found == (
        "PROBLEM",
        "data",
        f"{path}: no such file; dvc pull, or: make dataset NAME=mnist",
    )
    files.write(path, b"damaged")
    found, *_ = reversed(findings())
    assert found[2].startswith(f"{path}: not a usable .npz file")
    images, labels = np.zeros((5000, 2, 2), np.uint8), np.zeros(5000, np.uint8)
    files.write(path, files.array_bytes(Digits(images, labels, images, labels)._asdict()))
    found, *_ = reversed(findings())
    assert found == (
        "PROBLEM",
        "data",
        "prepare.validation_size leaves none of 5000 training images",
    )
