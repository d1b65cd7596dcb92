"""What pyproject.toml asks for is in the lock, pinned and hashed."""

import importlib.metadata
import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT

TEXT = (ROOT / "pyproject.toml").read_text()
PROJECT = tomllib.loads(TEXT)["project"]
EXTRAS: dict[str, list[str]] = PROJECT["optional-dependencies"]


def locked() -> dict[str, set[str]]:
    """The versions of each package; a marker may choose among several."""
    versions: dict[str, set[str]] = {}
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    for line in filter(None, map(str.strip, text.splitlines())):
        found = re.match(r"([\w.-]+)==([^\s;]+).*--hash=sha256:[0-9a-f]{64}", line)
        assert found, f"not pinned with a hash: {line}"
        versions.setdefault(canonicalize_name(found[1]), set()).add(found[2])
    return versions


def runtime() -> set[str]:
    """The packages that the pipeline needs, without extras, as far as they are installed here."""
    found: set[str] = set()
    waiting = list(PROJECT["dependencies"])
    while waiting:
        requirement = Requirement(waiting.pop())
        name = canonicalize_name(requirement.name)
        wanted = not requirement.marker or requirement.marker.evaluate({"extra": ""})
        if wanted and name not in found:
            found.add(name)
            waiting += importlib.metadata.requires(name) or []
    return found


def test_one_lock_satisfies_every_requirement() -> None:
    assert [path.name for path in ROOT.glob("*.lock")].count("requirements.lock") == 1
    assert not list(ROOT.glob("requirements*-*"))
    versions = locked()
    wanted = [*PROJECT["dependencies"], *(line for extra in EXTRAS.values() for line in extra)]
    for requirement in map(Requirement, wanted):
        found = versions[canonicalize_name(requirement.name)]
        assert all(requirement.specifier.contains(version) for version in found), requirement
    assert runtime() <= versions.keys()
    assert "uv" in runtime()


def test_what_only_tests_and_extras_need_is_not_in_the_runtime() -> None:
    wanted = {Requirement(line).name for extra in EXTRAS.values() for line in extra}
    extras = set(map(canonicalize_name, wanted))
    assert not extras & runtime()
    # Keras imports it where it is installed, which takes a second.
    assert "scikit-learn" not in locked()
    assert "scipy" in extras


def test_every_direct_dependency_has_its_reason() -> None:
    """A comment above it, or above the line before it."""
    lines = TEXT.split("dependencies = [")[1].split("]\n")[0]
    above = "nothing"
    for line in map(str.strip, lines.strip().splitlines()):
        assert line.startswith("#") or above.startswith(("#", '"tensorflow')), line
        above = line
