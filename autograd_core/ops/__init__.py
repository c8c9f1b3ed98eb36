"""The primitives and the public functions over them, a family a file."""

import time

LOADED = time.time()  # sources changed after this may not be the code that runs, and name nothing that is kept on disk
