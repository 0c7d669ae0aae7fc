"""Bytes to arrays and back: what a weights file says, in its own names. No code in a file is ever run.

Every reader returns the same plain value, `Contents`; what the names mean is `mapping`'s business.
"""

from .contents import Contents, Layers, Variables, WeightsError, by_number, grouped
from .reading import read
from .writing import write

__all__ = ["Contents", "Layers", "Variables", "WeightsError", "by_number", "grouped", "read", "write"]
