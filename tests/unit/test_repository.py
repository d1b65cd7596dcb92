"""The repository as a whole: its bytes in every checkout, and no code that runs what it reads."""

import re
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

# cloudpickle is not among the modules: it sends the worker's code to a cluster, and reads nothing.
UNSAFE = re.compile(
    r"^\s*(import|from) (dill|joblib|marshal|pickle|shelve)\b|cloudpickle\.loads?\b|unsafe"
    r"|allow_pickle=True|safe_mode=False|yaml\.(full_)?load\(|shell=True|os\.(popen|system)\b"
    r"|(?<![\w.])(eval|exec)\(",
    re.MULTILINE,
)


def git(*arguments: str, stdin: str = "", cwd: Path = ROOT) -> str:
    command = ["git", *arguments]
    done = subprocess.run(command, cwd=cwd, input=stdin, capture_output=True, check=True, text=True)
    return done.stdout


def test_a_checkout_with_autocrlf_has_the_same_bytes(tmp_path: Path) -> None:
    git("-c", "core.autocrlf=true", "checkout-index", "--all", f"--prefix={tmp_path}/")
    listed = [line.split(maxsplit=3) for line in git("ls-files", "--stage").splitlines()]
    names = "\n".join(name for _, _, _, name in listed)
    found = git("hash-object", "--no-filters", "--stdin-paths", stdin=names, cwd=tmp_path)
    assert found.split() == [blob for _, blob, _, _ in listed]


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from marshal import loads",
        "np.load(path, allow_pickle=True)",
        "keras.saving.load_model(path, safe_mode=False)",
        "keras.config.enable_unsafe_deserialization()",
        "subprocess.run(command, shell=True)",
        "yaml.load(text, yaml.Loader)",
        "YAML(typ='unsafe')",
        "eval(text)",
    ],
)
def test_unsafe_code_is_found(code: str) -> None:
    assert UNSAFE.search(code)


def test_no_code_runs_what_it_reads() -> None:
    folders = ("stages", "tools", "handwriting", "sweep", "benchmarks")
    files = [path for folder in folders for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 30
    found = {str(path): UNSAFE.search(path.read_text()) for path in files}
    assert {name: match[0] for name, match in found.items() if match} == {}
