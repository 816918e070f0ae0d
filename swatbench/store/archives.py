"""Zip files that hold as many bytes as they have: ours and torch's are stored, and not compressed."""

import struct
import zipfile
from typing import IO


def require_stored(archive: zipfile.ZipFile, *, size_bytes: int) -> None:
    """Refuse an archive that would swell when it is read.

    Args:
        archive: The archive; nothing but its directory is looked at.
        size_bytes: Size of its file.

    Raises:
        ValueError: A member is compressed, or they are said to hold more than the file.
    """
    members = archive.infolist()
    if any(member.compress_type != zipfile.ZIP_STORED for member in members):
        raise ValueError("it is a compressed archive, which is not written here")
    if sum(member.file_size for member in members) > size_bytes:
        raise ValueError("it says that it holds more bytes than it has")


def require_plain_archive(file: IO[bytes]) -> None:
    """Refuse a zip file that would swell when it is read; let other files through.

    Args:
        file: An open file; its position stays.

    Raises:
        ValueError: It would, or its directory is damaged.
    """
    start = file.tell()
    try:
        if zipfile.is_zipfile(file):
            size_bytes = file.seek(0, 2)
            with zipfile.ZipFile(file) as archive:
                require_stored(archive, size_bytes=size_bytes)
    except (zipfile.BadZipFile, NotImplementedError, struct.error, OverflowError) as error:
        raise ValueError(f"its directory is damaged ({error})") from error
    finally:
        file.seek(start)
