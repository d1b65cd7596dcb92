"""A stage writes nothing if dvc.lock would record other inputs than it used."""

import py_compile
import shutil
import sys

import pytest

from tests.conftest import Workspace

EDIT = "params_yaml = Path('params.yaml'); text = params_yaml.read_text(); params_yaml.write_text("


def import_extra(workspace: Workspace) -> None:
    """Have `prepare` import a module that dvc.yaml does not name."""
    (workspace.path / "digits/extra.py").write_text("used = True\n")
    workspace.edit("stages/prepare.py", "from digits", "import digits.extra\nfrom digits")


def run_while(workspace: Workspace, edit: str, status: int) -> str:
    """Run `prepare` with this line in it, after its input is read; return its messages."""
    lines = f"    from pathlib import Path\n    {edit}\n    n = len(raw"
    workspace.edit("stages/prepare.py", "    n = len(raw", lines)
    prepared = workspace.path / "data/prepared/train.npz"
    before = prepared.stat().st_mtime_ns
    stderr = workspace.stage("prepare", status=status).stderr
    assert (prepared.stat().st_mtime_ns == before) == bool(status)
    return stderr


@pytest.mark.parametrize(
    ("edit", "named"),
    [
        (f"{EDIT}text.replace('size: 300', 'size: 7'))", "params.yaml: prepare"),
        ("Path('data/raw/small.npz').write_bytes(b'')", "data/raw/small.npz"),
        ("Path('digits/data.py').unlink()", "digits/data.py"),
        # Back to what is committed, as by `git switch -`.
        ("Path('digits/data.py').write_bytes(Path('committed.py').read_bytes())", "digits/data.py"),
    ],
)
def test_a_stage_with_changed_inputs_writes_nothing(
    small: Workspace, edit: str, named: str
) -> None:
    shutil.copy(small.path / "digits/data.py", small.path / "committed.py")
    small.edit("digits/data.py", "return images.", "return 1 * images.")
    assert run_while(small, edit, status=1) == (
        f"error: {named} changed during the run, so nothing was written; run it again\n"
    )


def test_what_changes_no_result_may_change(small: Workspace) -> None:
    edits = [
        f"{EDIT}text.replace('units: 32', 'units: 7'))",
        "Path('digits/metrics.py').write_text('')",
        "Path('digits/plumbing/errors.py').unlink()",
        # As an editor and a backup do.
        "Path('digits/data.py').write_bytes(Path('digits/data.py').read_bytes())",
        "Path('backup.py').hardlink_to('digits/data.py')",
    ]
    assert run_while(small, "; ".join(edits), status=0) == ""


def test_a_compiled_file_never_runs(small: Workspace) -> None:
    module = small.path / "digits/data.py"
    source = module.read_text()
    small.edit("digits/data.py", "np.float32(255)", "np.float32(1)")
    py_compile.compile(str(module), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    module.write_text(source)
    prepared = small.path / "data/prepared/train.npz"
    before = prepared.read_bytes()
    small.stage("prepare")
    assert prepared.read_bytes() == before


def test_the_project_in_a_folder_of_python(small: Workspace) -> None:
    """As in /usr/local/src, or in a virtual environment."""
    import_extra(small)
    code = f"import runpy, sys; sys.prefix = {str(small.path.parent)!r}; "
    code += "runpy.run_module('stages.prepare', run_name='__main__', alter_sys=True)"
    done = small.run(sys.executable, "-c", code, status=1)
    assert "add `- digits/extra.py` to deps" in done.stderr


def test_the_lines_that_dvc_yaml_lacks_are_named(small: Workspace) -> None:
    for lacking in ("data/raw/${prepare.dataset}.npz", "prepare", "data/prepared/test.npz"):
        small.edit("dvc.yaml", f"      - {lacking}\n", "")
    import_extra(small)
    before = small.written()
    assert small.stage("prepare", status=1).stderr == (
        "error: dvc.yaml, stage prepare: add `- data/raw/small.npz` to deps; "
        "add `- digits/extra.py` to deps; add `- prepare` to params; "
        "add `- data/prepared/test.npz` to outs or metrics or plots; nothing was written\n"
    )
    assert small.written() == before


def test_a_stage_is_told_before_it_trains(small: Workspace) -> None:
    small.edit("dvc.yaml", "      - models/hidden.keras\n    pl", "    pl")
    done = small.stage("train_hidden", status=1)
    lacking = "add `- models/hidden.keras` to outs or metrics or plots; nothing was written"
    assert done.stderr == f"error: dvc.yaml, stage train_hidden: {lacking}\n"
    assert done.stdout == ""
