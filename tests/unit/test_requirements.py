"""What pyproject.toml asks for is in the lock files, pinned and hashed."""

import re
import tomllib

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
EXTRAS = PROJECT["optional-dependencies"]
LOCKS = {
    "requirements.lock": (),
    "requirements-remotes.lock": ("s3", "ssh"),
    "requirements-sweep.lock": ("s3", "ssh", "sweep"),
    "requirements-dev.lock": tuple(EXTRAS),
}


def pinned(lock: str) -> dict[str, set[str]]:
    """The versions of each package; a marker may choose among several."""
    versions: dict[str, set[str]] = {}
    text = (ROOT / lock).read_text().replace("\\\n", " ")
    for line in filter(None, map(str.strip, text.splitlines())):
        found = re.match(r"([\w.-]+)==([^\s;]+).*--hash=sha256:[0-9a-f]{64}", line)
        assert found, f"{lock}: not pinned with a hash: {line}"
        versions.setdefault(canonicalize_name(found[1]), set()).add(found[2])
    return versions


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_satisfies_pyproject(lock: str) -> None:
    versions = pinned(lock)
    wanted = [*PROJECT["dependencies"], *(line for extra in LOCKS[lock] for line in EXTRAS[extra])]
    for requirement in map(Requirement, wanted):
        found = versions[canonicalize_name(requirement.name)]
        assert all(requirement.specifier.contains(version) for version in found), requirement


@pytest.mark.parametrize("lock", LOCKS)
def test_every_lock_holds_the_runtime_in_the_same_versions(lock: str) -> None:
    assert pinned("requirements.lock").items() <= pinned(lock).items()


def test_what_only_tests_need_is_not_in_the_runtime() -> None:
    runtime = pinned("requirements.lock")
    extras = [Requirement(line).name for extra in EXTRAS.values() for line in extra]
    assert not {canonicalize_name(name) for name in extras} & runtime.keys()
    assert "scikit-learn" not in runtime


def test_every_direct_dependency_has_its_reason() -> None:
    """A comment above it, or above the line before it."""
    lines = (ROOT / "pyproject.toml").read_text().split("dependencies = [")[1].split("]\n")[0]
    above = "nothing"
    for line in map(str.strip, lines.strip().splitlines()):
        assert line.startswith("#") or above.startswith(("#", '"tensorflow')), line
        above = line
