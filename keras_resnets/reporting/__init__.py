"""What a training came to, as a page for a person to read."""

from .report import missing, write_report

__all__ = ["missing", "write_report"]
