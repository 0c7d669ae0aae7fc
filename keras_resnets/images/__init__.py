"""Floor 2: files to pixels to tensors, and logits to labels."""
