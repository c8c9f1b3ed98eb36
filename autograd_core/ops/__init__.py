"""The primitives and the public functions over them, a family a file."""
