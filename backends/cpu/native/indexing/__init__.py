"""Elements picked, put and ordered: by indices, by steps, by value."""
