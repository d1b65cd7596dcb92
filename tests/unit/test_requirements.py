"""requirements.lock, which all environments are installed from."""

import re
import tomllib

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT


def test_one_lock_satisfies_every_requirement_with_hashes() -> None:
    text = (ROOT / "requirements.lock").read_text().replace("\\\n", " ")
    versions: dict[str, set[str]] = {}
    for line in text.splitlines():
        found = re.match(r"([\w.-]+)==([^\s;]+).*--hash=sha256:[0-9a-f]{64}", line)
        assert found, f"not pinned with a hash: {line}"
        # A marker may choose among several.
        versions.setdefault(canonicalize_name(found[1]), set()).add(found[2])
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"].values()
    for requirement in map(Requirement, sum(extras, project["dependencies"])):
        found_versions = versions[canonicalize_name(requirement.name)]
        assert all(map(requirement.specifier.contains, found_versions)), requirement
    # Keras imports it where it is installed, which takes a second.
    assert "scikit-learn" not in versions
