from pathlib import Path

import pytest

from stages.lib import params
from stages.lib.errors import UserError
from tests.conftest import committed

GOOD = committed("params.yaml").decode()


def load(tmp_path: Path, text: str) -> params.Params:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    return params.load(path)


def test_defaults_are_the_agreed_ones(tmp_path: Path) -> None:
    assert load(tmp_path, GOOD).model_dump() == {
        "prepare": {"dataset": "mnist", "validation_size": 5000, "seed": 1},
        "train_linear": {"epochs": 5, "batch_size": 32, "learning_rate": 0.001, "seed": 1},
        "train_hidden": {
            "units": 1000,
            "epochs": 5,
            "batch_size": 32,
            "learning_rate": 0.001,
            "seed": 1,
        },
        "evaluate": {"examples": 40},
        "runtime": {"portable": True},
    }


@pytest.mark.parametrize("written", ["1e-3", "1.0e-3", "1E-03", "0.001"])
def test_numbers_mean_what_they_mean_to_dvc(tmp_path: Path, written: str) -> None:
    text = GOOD.replace("learning_rate: 0.001", f"learning_rate: {written}")
    assert load(tmp_path, text).train_hidden.learning_rate == 0.001


@pytest.mark.parametrize(
    ("good", "bad", "message"),
    [
        ("dataset: mnist", "dataset: cifar", "prepare.dataset is 'cifar'; must be mnist or uci_"),
        ("dataset: mnist", "dataset: 5", "prepare.dataset is 5; must be mnist or uci_digits"),
        ("size: 5000", "size: 30001", "is 30001; must be a whole number from 0 to 30000"),
        ("size: 5000", "size: -1", "prepare.validation_size is -1; must be"),
        ("units: 1000", "units: 0", "train_hidden.units is 0; must be a whole number from 1 to"),
        ("epochs: 5", 'epochs: "5"', "train_linear.epochs is '5'; must be a whole number"),
        ("epochs: 5", "epochs: 5.0", "train_linear.epochs is 5.0; must be a whole number"),
        ("epochs: 5", "epochs: yes", "train_linear.epochs is 'yes'; must be a whole number"),
        ("epochs: 5", "epochs: true", "train_linear.epochs is True; must be a whole number"),
        ("epochs: 5", "epochs:", "train_linear.epochs is None; must be a whole number"),
        ("epochs: 5", "epochs: [5]", r"train_linear.epochs is \[5\]; must be a whole number"),
        ("rate: 0.001", "rate: .nan", "train_linear.learning_rate is nan; must be a number above"),
        ("rate: 0.001", "rate: .inf", "train_linear.learning_rate is inf; must be a number above"),
        ("rate: 0.001", "rate: 0", "train_linear.learning_rate is 0; must be a number above 0"),
        ("portable: true", "portable: 1", "runtime.portable is 1; must be true or false"),
        ("  units: 1000 ", "  neurons: 1000 ", "train_hidden.units is missing; must be a whole"),
        ("  units: 1000 ", "  neurons: 1000 ", "train_hidden.neurons is not a parameter; known"),
        ("evaluate:", "evaluation:", "evaluate is missing; must be a group of parameters"),
        ("evaluate:", "evaluation:", "evaluation is not a parameter; known here: prepare, train_"),
        ("runtime:\n", "runtime: fast\nx:\n", "runtime is 'fast'; must be a group of parameters"),
    ],
)
def test_a_bad_value_is_named_with_what_is_allowed(
    tmp_path: Path, good: str, bad: str, message: str
) -> None:
    assert good in GOOD
    with pytest.raises(UserError, match=message) as error:
        load(tmp_path, GOOD.replace(good, bad, 1))
    assert all("params.yaml: " in line for line in str(error.value).splitlines())


def test_all_problems_are_reported_at_once(tmp_path: Path) -> None:
    text = GOOD.replace("units: 1000", "units: 0").replace("examples: 40", "examples: many")
    with pytest.raises(UserError) as error:
        load(tmp_path, text)
    assert len(str(error.value).splitlines()) == 2


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "must hold the groups prepare, train_linear"),
        (b"- a\n- b\n", "must hold the groups prepare"),
        (b"prepare:\n\tdataset: mnist\n", "params.yaml, line 2"),
        (GOOD.replace("  seed: 1", "  seed: 1\n  seed: 2", 1).encode(), "line 7.*duplicate key"),
        (b"\xff\xfe\x00prepare", "not YAML"),
        (b"prepare: {", "params.yaml, line 1"),
        (b"prepare: !!python/object/apply:os.system ['touch owned']", "python/object"),
    ],
)
def test_a_malformed_file_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(UserError, match=message) as error:
        params.load(path)
    assert len(str(error.value).splitlines()) == 1
    assert not (tmp_path / "owned").exists()


def test_an_absent_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file"):
        params.load(tmp_path / "params.yaml")
