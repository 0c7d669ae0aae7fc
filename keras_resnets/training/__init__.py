"""A folder of pictures to a model of one's own."""
