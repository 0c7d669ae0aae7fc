"""Files to pixels to tensors, and logits to labels."""

from pathlib import Path

PHOTOS = Path(__file__).parent / "photos"  # four photographs to try things on
