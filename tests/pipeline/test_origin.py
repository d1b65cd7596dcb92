"""A stage writes nothing if dvc.lock would record other inputs than it used."""

import py_compile
import sys

import pytest

from tests.conftest import Workspace

EDIT = "params_yaml = Path('params.yaml'); text = params_yaml.read_text(); params_yaml.write_text("


def run_while(workspace: Workspace, edit: str, status: int) -> str:
    """Run `prepare` with this line in it, after its input is read; return its messages."""
    script = workspace.path / "stages/prepare.py"
    code = script.read_text()
    edit = f"    from pathlib import Path\n    {edit}\n"
    script.write_text(code.replace("    n = len(raw", f"{edit}    n = len(raw"))
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
    module = small.path / "digits/data.py"
    (small.path / "committed.py").write_bytes(module.read_bytes())
    module.write_text(module.read_text().replace("return images.", "return 1 * images."))
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
    module.write_text(source.replace("np.float32(255)", "np.float32(1)"))
    py_compile.compile(str(module), invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    module.write_text(source)
    prepared = small.path / "data/prepared/train.npz"
    before = prepared.read_bytes()
    small.stage("prepare")
    assert prepared.read_bytes() == before


def test_the_project_in_a_folder_of_python(small: Workspace) -> None:
    """As in /usr/local/src, or in a virtual environment."""
    module = small.path / "digits/extra.py"
    module.write_text("used = True\n")
    script = small.path / "stages/prepare.py"
    script.write_text(
        script.read_text().replace("from digits", "import digits.extra\nfrom digits", 1)
    )
    code = f"import runpy, sys; sys.prefix = {str(small.path.parent)!r}; "
    code += "runpy.run_module('stages.prepare', run_name='__main__', alter_sys=True)"
    done = small.run(sys.executable, "-c", code, status=1)
    assert "add `- digits/extra.py` to deps" in done.stderr


def test_the_lines_that_dvc_yaml_lacks_are_named(small: Workspace) -> None:
    pipeline = small.path / "dvc.yaml"
    text = pipeline.read_text()
    for lacking in ("data/raw/${prepare.dataset}.npz", "prepare", "data/prepared/test.npz"):
        text = text.replace(f"      - {lacking}\n", "", 1)
    pipeline.write_text(text)
    (small.path / "digits/extra.py").write_text("used = True\n")
    script = small.path / "stages/prepare.py"
    script.write_text(
        script.read_text().replace("from digits", "import digits.extra\nfrom digits", 1)
    )
    before = small.written()
    assert small.stage("prepare", status=1).stderr == (
        "error: dvc.yaml, stage prepare: add `- data/raw/small.npz` to deps; "
        "add `- digits/extra.py` to deps; add `- prepare` to params; "
        "add `- data/prepared/test.npz` to outs or metrics or plots; nothing was written\n"
    )
    assert small.written() == before


def test_a_stage_is_told_before_it_trains(small: Workspace) -> None:
    pipeline = small.path / "dvc.yaml"
    text = pipeline.read_text()
    pipeline.write_text(text.replace("      - models/hidden.keras\n    pl", "    pl"))
    done = small.stage("train_hidden", status=1)
    lacking = "add `- models/hidden.keras` to outs or metrics or plots; nothing was written"
    assert done.stderr == f"error: dvc.yaml, stage train_hidden: {lacking}\n"
    assert done.stdout == ""
