"""Floor 1: tensors in, tensors out. Knows Keras and nothing else of this package."""
