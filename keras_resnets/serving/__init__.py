"""Models to the files that servers and devices take, each run and compared before it gets its name."""

from .exporting import ExportError as ExportError
from .exporting import check as check
from .exporting import export as export
