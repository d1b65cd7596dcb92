"""The data set file that `make dataset` writes."""

import io

import numpy as np

from digits import data
from tools import dataset


def test_only_names_that_are_no_numbers_are_written() -> None:
    images, labels = np.zeros((2, 3, 3), np.uint8), np.array([0, 1], np.uint8)
    for names, written in ((("0", "1"), []), (("cat", "dog"), ["names"])):
        raw = data.RawData(images, labels, images, labels, names)
        assert [*np.load(io.BytesIO(dataset.content(raw)))] == [*data.RawData._fields[:4], *written]
