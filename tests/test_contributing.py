"""The worked examples of CONTRIBUTING.md: each change is made in a copy of the package, and what follows it is run."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

HERE = Path(__file__).parent.parent
SECTIONS = re.findall(
    r"^## (To add .*?)$(.*?)(?=^## |\Z)", (HERE / "CONTRIBUTING.md").read_text(encoding="utf-8"), re.M | re.S
)


def test_there_are_three():
    assert [title.split(":")[0] for title, _ in SECTIONS] == [
        "To add an architecture",
        "To add a publisher",
        "To add a weight",
    ]


@pytest.mark.skipif(shutil.which("git") is None, reason="git applies the changes")
@pytest.mark.parametrize(("title", "text"), SECTIONS, ids=[title for title, _ in SECTIONS])
def test_an_example_is_replayed(title, text, tmp_path):
    for name in ("keras_resnets", "tests"):
        shutil.copytree(HERE / name, tmp_path / name, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(HERE / "pyproject.toml", tmp_path)
    blocks = re.findall(r"^```(\w*)\n(.*?)^```$", text, re.M | re.S)
    commands = {
        "diff": ["git", "apply", "--recount", "-"],
        "python": [sys.executable, "-"],
        "": [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *blocks[1][1].split()[1:]],
    }
    assert blocks[0][0] == "diff" and len(blocks) > 1
    for kind, content in blocks:
        done = subprocess.run(
            commands[kind], input=content, capture_output=True, text=True, cwd=tmp_path,
            env=os.environ | {"PYTHONPATH": str(tmp_path)},
        )  # fmt: skip
        assert done.returncode == 0, f"{content}\n{done.stdout[-3000:]}\n{done.stderr[-3000:]}"
        if kind == "":
            assert " passed" in done.stdout  # none is no proof
