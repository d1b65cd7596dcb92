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
from tools import dataset, doctor, result
from tools.secrets import redact

RESULT = """\
mnist, 114 test images                accuracy      loss  macro F1   calibration error
linear                                  0.9251  700.1230    0.1235              0.0049
hidden                                  0.9784  700.1230    0.1235              0.0049
hidden against linear: +8.77 percentage points of accuracy (95 % interval +2.05 to +15.19).
McNemar's exact test: hidden is better than linear: a split as uneven as 2 to 12 would come up in 1
of 100 comparisons of equally good models.
Figures: metrics/figures/. Compare with a revision on a page: make report REV=main"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    params.PATH.write_bytes(committed("params.yaml"))


def write_metrics(both_right: int, linear_right: int, hidden_right: int) -> None:
    comparison = {
        "both_right": both_right,
        "only_linear_right": linear_right,
        "only_hidden_right": hidden_right,
        "both_wrong": 100,
    }
    files.write(paths.COMPARISON, files.json_bytes(comparison))
    for name, accuracy in (("linear", 0.92514), ("hidden", 0.97836)):
        test = {"accuracy": accuracy, "loss": 700.123}
        details = {"macro_f1": 0.123456, "calibration_error": 0.0049}
        files.write(paths.metrics(name), files.json_bytes({"test": test}))
        files.write(paths.details(name), files.json_bytes({"test": details}))


def test_result() -> None:
    write_metrics(0, 2, 12)
    assert result.result() == RESULT


def test_result_fits_8_lines_of_100_columns() -> None:
    params.PATH.write_text(
        params.PATH.read_text().replace("dataset: mnist", f"dataset: {'x' * 100}")
    )
    write_metrics(9_000_000, 9000, 9900)
    lines = result.result().splitlines()
    assert len(lines) <= 8
    assert max(map(len, lines)) <= 100
    paths.details("hidden").unlink()
    with pytest.raises(UserError, match=r"^metrics/details/hidden\.json: no such file$"):
        result.result()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("https://me:secret@host/path failed", "https://***@host/path failed"),
        ("ssh://me:se@cret@host and s3://key:secret@b", "ssh://***@host and s3://***@b"),
        ("ssh://me@host", "ssh://***@host"),
        ("s3://bucket/a@b and me@host", "s3://bucket/a@b and me@host"),
    ],
)
def test_credentials_in_a_url_are_not_shown(text: str, shown: str) -> None:
    assert redact(text) == shown


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
