"""The last cell of the notebook, which trains."""

from tests.conftest import Workspace
from tests.pipeline.test_notebook import run_notebook


def test_it_trains_another_width_when_asked_to(small: Workspace) -> None:
    run_notebook(small, train=True)
    trained = small.lock()["train_hidden"]["params"]["params.yaml"]["train_hidden"]
    assert trained["units"] == 200
