"""The repository as a whole: the same bytes in every checkout, and a lock for all requirements."""

import re
import subprocess
import tomllib
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.conftest import ROOT


def test_a_checkout_with_autocrlf_has_the_same_bytes(tmp_path: Path) -> None:
    def git(*arguments: str) -> str:
        return subprocess.check_output(["git", *arguments], cwd=ROOT, text=True)

    git("-c", "core.autocrlf=true", "checkout-index", "--all", f"--prefix={tmp_path}/")
    # Mode, hash, stage and name.
    listed = [line.split(maxsplit=3) for line in git("ls-files", "--stage").splitlines()]
    files = [f"{tmp_path}/{name}" for _, _, _, name in listed]
    found = git("hash-object", "--no-filters", *files).split()
    assert found == [blob for _, blob, _, _ in listed]


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
