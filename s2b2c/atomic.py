"""Files that are whole or not there, whatever happens while they are written."""

import errno
import io
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def replacing(out: Path, *, mode: int = 0o666) -> Iterator[io.BufferedRandom]:
    """A file that takes the place of `out` when the block ends, and leaves no trace when it raises.

    `mode` says who may read it, less the umask. One who is killed leaves a `.part` beside it.
    """
    if out.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    part = out.with_name(f".{out.name}.{os.getpid()}.part")
    try:
        with open(part, "w+b", opener=lambda name, flags: os.open(name, flags, mode)) as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        part.replace(out)
    except BaseException:
        part.unlink(missing_ok=True)
        raise
    folder = os.open(out.parent, os.O_RDONLY)
    try:
        os.fsync(folder)  # the new name too must survive a power cut
    finally:
        os.close(folder)
