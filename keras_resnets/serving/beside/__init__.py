"""What lies beside a SavedModel's versions: an example of a server's settings, and the lines to run it."""

import re
from pathlib import Path
from string import Template

FILES = ("README.md", "models.config", "batching_parameters.txt")


def write(folder: Path) -> None:
    """Write them for the model in this folder; what is there already is somebody's own and stays."""
    name = re.sub(r"[^\w.-]", "-", folder.resolve().name)
    for file in FILES:
        if not (folder / file).exists():
            template = Template((Path(__file__).parent / file).read_text(encoding="utf-8"))
            partial = folder / f"{file}.partial"
            partial.write_text(template.substitute(name=name), encoding="utf-8")
            partial.replace(folder / file)
