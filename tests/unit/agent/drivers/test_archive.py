"""Archives that are built to hurt whoever opens them."""

from __future__ import annotations

import gzip
import io
import tarfile
import tracemalloc

import pytest

from agent.drivers.archive import UNPACKED_LIMIT, ArchiveRefused, inspect_archive

SIZE = 4 * UNPACKED_LIMIT
MIB = bytes(1024 * 1024)


def exploding(kind: bytes) -> bytes:
    """An archive whose first header, of one of the kinds that tarfile reads whole, is SIZE long."""
    header = tarfile.TarInfo("x")
    header.type, header.size = kind, SIZE
    buffer = io.BytesIO()
    with gzip.GzipFile(fileobj=buffer, mode="wb", compresslevel=1) as zipped:
        zipped.write(header.tobuf(format=tarfile.USTAR_FORMAT))
        for _ in range(SIZE // len(MIB)):
            zipped.write(MIB)
    return buffer.getvalue()


@pytest.mark.parametrize("kind", [tarfile.XHDTYPE, tarfile.GNUTYPE_LONGNAME])
def test_a_header_that_explodes_is_not_read_to_its_end(kind: bytes) -> None:
    content = exploding(kind)
    tracemalloc.start()
    try:
        with pytest.raises(ArchiveRefused, match="more than is allowed"):
            inspect_archive(content)
        assert tracemalloc.get_traced_memory()[1] < SIZE
    finally:
        tracemalloc.stop()
