"""Data of one's own: a file in data/raw/, by its name."""

from pathlib import Path

from digits import paths
from tests.conftest import Workspace, cut_from_mnist

SMALL_DATA = str(paths.raw("small"))


def test_a_data_set_of_ones_own(small: Workspace, tmp_path: Path) -> None:
    """As docs/data.md walks it; `small_pipeline` has gone the first steps."""
    small.dvc("push")

    second = small.clone(tmp_path / "second")
    assert not (second.path / SMALL_DATA).exists()
    second.dvc("pull")
    assert second.repro() == []
    assert second.outputs() == small.outputs()

    def recorded() -> object:
        deps = second.lock()["prepare"]["deps"]
        return next(dep["md5"] for dep in deps if dep["path"] == SMALL_DATA)

    first_version = recorded()
    (second.path / SMALL_DATA).write_bytes(cut_from_mnist(start=7000))
    second.dvc("add", SMALL_DATA)
    assert second.repro("prepare") == ["prepare"]
    assert recorded() != first_version
