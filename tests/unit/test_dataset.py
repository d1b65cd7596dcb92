"""The data set file that `make dataset` writes."""

import io
import zipfile

import pytest

from digits import data, paths
from tests.conftest import ROOT
from tools import dataset


def test_mnist_is_the_shipped_file_byte_for_byte(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(ROOT)
    shipped = paths.raw("mnist").read_bytes()
    with zipfile.ZipFile(io.BytesIO(shipped)) as archive:
        version = archive.infolist()[0].extract_version
    with zipfile.ZipFile(io.BytesIO(), "w") as archive:
        archive.open("a", "w", force_zip64=True).close()
        if archive.infolist()[0].extract_version != version:
            pytest.skip("Python before 3.11.4 writes other headers into a zip")
    assert dataset.content(data.read_raw("mnist")) == shipped
