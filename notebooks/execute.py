"""Run notebooks from a clean kernel and store their outputs; ``--check`` runs them and stores nothing.

    python notebooks/execute.py [--check] [2_transfer_learning.ipynb ...]        # all, where none is named

What a notebook promises it asserts in its own cells, so a run that ends well has kept the promises.
"""

import os
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"
HERE = Path(__file__).parent
LARGEST = 1_000_000  # bytes, outputs included

names = [name for name in sys.argv[1:] if name != "--check"]
for path in [HERE / name for name in names] or sorted(HERE.glob("*.ipynb")):
    print(path.name, end=" ", flush=True)
    begin = time.monotonic()
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(notebook, timeout=600, kernel_name="python3", resources={"metadata": {"path": HERE}}).execute()
    print(f"{time.monotonic() - begin:.0f} s", flush=True)
    for cell in notebook.cells:
        cell.metadata.pop("execution", None)  # times of day, which would change in every run
        if cell.cell_type == "code":
            # What is said on the side, progress bars and start-up, belongs to the machine, not to the story.
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    text = nbformat.writes(notebook)
    if len(text) > LARGEST:
        sys.exit(f"{path.name} is {len(text):,} bytes with its outputs; at most {LARGEST:,}")
    if "--check" not in sys.argv:
        path.write_text(text + "\n", encoding="utf-8")
