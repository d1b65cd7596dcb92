"""Fetching a model at a tag, as somebody who has no clone."""

from pathlib import Path

from tests.conftest import Workspace

PREDICT = """
import sys, keras, numpy as np, dvc.api
repo, path = sys.argv[1:]
with open("api.keras", "wb") as file:
    file.write(dvc.api.read("models/linear.keras", repo=repo, rev="linear@v1.0.0", mode="rb"))
assert open("api.keras", "rb").read() == open(path, "rb").read()
print(keras.saving.load_model(path).predict(np.zeros((1, 784), "float32"), verbose=0).shape)
"""


def test_a_model_without_a_clone(small: Workspace, tmp_path: Path) -> None:
    small.dvc("push")
    small.run("git", "tag", "--annotate", "--message", "First", "linear@v1.0.0")
    # What the tag names is no longer what is checked out.
    expected = (small.path / "models/linear.keras").read_bytes()
    (small.path / "dvc.lock").unlink()
    small.commit("No run")
    cache = small.path / ".dvc/cache"
    cache.rename(tmp_path / "cache")
    consumer = Workspace(tmp_path / "elsewhere" / "consumer")
    consumer.path.mkdir(parents=True)
    repo = str(small.path)
    consumer.dvc("artifacts", "get", repo, "linear", "--rev", "v1.0.0", "-o", "linear.keras")
    assert (consumer.path / "linear.keras").read_bytes() == expected
    consumer.dvc("get", repo, "models/linear.keras", "--rev", "linear@v1.0.0", "-o", "again.keras")
    assert (consumer.path / "again.keras").read_bytes() == expected
    done = consumer.run("python", "-c", PREDICT, repo, "linear.keras")
    assert done.stdout.strip() == "(1, 10)"
