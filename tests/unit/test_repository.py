"""The repository as a whole: its bytes in every clone, and no code that trusts data."""

import ast
import subprocess
from pathlib import Path

import pytest

from tests.conftest import ROOT

CODE = ("stages", "tools", "handwriting", "sweep", "benchmarks")
# These run what they read. cloudpickle sends the worker's code to a cluster, and reads nothing.
FORBIDDEN_MODULES = {"pickle", "dill", "joblib", "marshal", "shelve"}
FORBIDDEN_NAMES = {
    "eval",
    "exec",
    "os.popen",
    "os.system",
    "yaml.full_load",
    "yaml.load",
    "yaml.unsafe_load",
    "cloudpickle.load",
    "cloudpickle.loads",
    "keras.config.enable_unsafe_deserialization",
}
FORBIDDEN_OPTIONS = {("allow_pickle", True), ("safe_mode", False), ("shell", True)}


def git(*arguments: str, stdin: str = "", cwd: Path = ROOT) -> str:
    command = ["git", *arguments]
    return subprocess.run(
        command, cwd=cwd, input=stdin, capture_output=True, check=True, text=True
    ).stdout


def test_a_checkout_with_autocrlf_has_the_same_bytes(tmp_path: Path) -> None:
    git("-c", "core.autocrlf=true", "checkout-index", "--all", f"--prefix={tmp_path}/")
    listed = [line.split(maxsplit=3) for line in git("ls-files", "--stage").splitlines()]
    names = "\n".join(name for _, _, _, name in listed)
    found = git("hash-object", "--no-filters", "--stdin-paths", stdin=names, cwd=tmp_path)
    assert found.split() == [blob for _, blob, _, _ in listed]


def unsafe(code: str) -> list[str]:
    """What the code does that may run what it reads."""
    found = []
    for node in ast.walk(ast.parse(code)):
        if isinstance(node, ast.Import):
            found += [alias.name for alias in node.names if alias.name in FORBIDDEN_MODULES]
        elif isinstance(node, ast.ImportFrom) and node.module in FORBIDDEN_MODULES:
            found.append(node.module)
        elif isinstance(node, ast.Call):
            if ast.unparse(node.func) in FORBIDDEN_NAMES:
                found.append(ast.unparse(node.func))
            options = [(option.arg, option.value) for option in node.keywords]
            found += [
                f"{name}={value.value!r}"
                for name, value in options
                if isinstance(value, ast.Constant) and (name, value.value) in FORBIDDEN_OPTIONS
            ]
            if "unsafe" in [getattr(value, "value", None) for _, value in options]:
                found.append("typ=unsafe")
    return found


@pytest.mark.parametrize(
    "code",
    [
        "import pickle",
        "from marshal import loads",
        "np.load(path, allow_pickle=True)",
        "keras.saving.load_model(path, safe_mode=False)",
        "subprocess.run(command, shell=True)",
        "yaml.load(text, yaml.Loader)",
        "YAML(typ='unsafe')",
        "eval(text)",
    ],
)
def test_unsafe_code_is_found(code: str) -> None:
    assert unsafe(code)


def test_no_code_runs_what_it_reads() -> None:
    files = [path for folder in CODE for path in (ROOT / folder).rglob("*.py")]
    assert len(files) > 30
    assert {str(path): unsafe(path.read_text()) for path in files if unsafe(path.read_text())} == {}
