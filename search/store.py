"""A folder that every node reaches, on a disk or in an object store, used the same either way."""

from __future__ import annotations

import posixpath
import tempfile
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from pyarrow.fs import (
    FileSelector,
    FileSystem,
    FileType,
    FSSpecHandler,
    LocalFileSystem,
    PyFileSystem,
    copy_files,
)

_OBJECT_STORES = ("s3", "gcs", "abfs")


class StoreLost(OSError):
    """A store could not be read or written, which is not the fault of what needed it."""


class Store:
    """Files by their paths relative to one folder.

    It can be sent to other processes; what it needs to know of the place travels along.

    Args:
        filesystem: of pyarrow.
        root: the folder, as the file system names it.
    """

    def __init__(self, filesystem: FileSystem, root: str) -> None:
        self.filesystem = filesystem
        self.root = root.rstrip("/")

    @classmethod
    def at(cls, place: str | Path) -> Store:
        """The folder at a path, or at an address such as ``s3://bucket/runs``.

        Addresses are read by pyarrow; those that it does not know, by fsspec.

        Raises:
            ValueError: nothing knows such an address.
        """
        text = str(place)
        if "://" not in text:
            return cls(LocalFileSystem(), str(Path(text).expanduser().absolute()))
        if not text.partition("://")[2].strip("/"):
            raise ValueError(f"{text} cannot be used: it names no folder")
        try:
            return cls(*FileSystem.from_uri(text))
        except (ValueError, OSError) as error:
            if "Unrecognized filesystem type" not in str(error):
                raise ValueError(f"{text} cannot be used: {error}") from None
        import fsspec

        try:
            system, root = fsspec.url_to_fs(text)
        except (ValueError, ImportError) as error:
            raise ValueError(f"{text} cannot be used: {error}") from None
        return cls(PyFileSystem(FSSpecHandler(system)), root)

    def below(self, name: str) -> Store:
        """A folder in this one."""
        return Store(self.filesystem, self.path(name))

    @property
    def local(self) -> Path | None:
        """The folder, where it lies on a disk; None elsewhere."""
        return Path(self.root) if isinstance(self.filesystem, LocalFileSystem) else None

    def path(self, relative: str) -> str:
        """What the file system calls a path in this folder."""
        return posixpath.join(self.root, relative)

    def is_file(self, relative: str) -> bool:
        return bool(self._type(relative) == FileType.File)

    def is_folder(self, relative: str) -> bool:
        return bool(self._type(relative) == FileType.Directory)

    def _type(self, relative: str) -> FileType:
        return self.filesystem.get_file_info(self.path(relative)).type

    def names(self, relative: str = "") -> list[str]:
        """What lies directly in a folder, in the order of the names; nothing where it is none."""
        selector = FileSelector(self.path(relative), allow_not_found=True)
        try:
            infos = self.filesystem.get_file_info(selector)
        except NotADirectoryError:
            return []
        return sorted(info.base_name for info in infos)

    def files(self, relative: str = "", without: Sequence[str] = ()) -> list[str]:
        """Paths of all files below a folder; those in ``without`` are not looked into."""
        if relative:
            return self._all_files(relative)
        found = []
        for name in self.names():
            if name not in without:
                found += [name] if self.is_file(name) else self._all_files(name)
        return found

    def _all_files(self, relative: str) -> list[str]:
        selector = FileSelector(self.path(relative), allow_not_found=True, recursive=True)
        infos = self.filesystem.get_file_info(selector)
        return sorted(
            posixpath.relpath(i.path, self.root) for i in infos if i.type == FileType.File
        )

    def put(self, source: Path, relative: str) -> None:
        """Write a file; a reader sees the old one or the new one, never half of it."""
        target = self.path(relative)
        if self.filesystem.type_name in _OBJECT_STORES:
            # It shows an object only once that is whole.
            copy_files(str(source), target, LocalFileSystem(), self.filesystem)
            return
        partial = f"{target}.{uuid.uuid4().hex}"
        self.filesystem.create_dir(posixpath.dirname(target), recursive=True)
        try:
            copy_files(str(source), partial, LocalFileSystem(), self.filesystem)
            self.filesystem.move(partial, target)
        except BaseException:
            if self.filesystem.get_file_info(partial).type == FileType.File:
                self.filesystem.delete_file(partial)
            raise

    def get(self, relative: str, target: Path) -> None:
        """Fetch a file; the folder of ``target`` is made.

        Raises:
            FileNotFoundError: there is none.
        """
        target.parent.mkdir(parents=True, exist_ok=True)
        copy_files(self.path(relative), str(target), self.filesystem, LocalFileSystem())

    def sizes(self, relative: str) -> dict[str, int]:
        """Bytes of every file below a folder, by its path in the folder."""
        selector = FileSelector(self.path(relative), allow_not_found=True, recursive=True)
        return {
            posixpath.relpath(info.path, self.path(relative)): info.size
            for info in self.filesystem.get_file_info(selector)
            if info.type == FileType.File
        }

    def read(self, relative: str) -> str | None:
        """The text of a file; None where there is none."""
        try:
            with self.filesystem.open_input_stream(self.path(relative)) as file:
                content: bytes = file.read()
        except FileNotFoundError:
            return None
        return content.decode()

    def delete(self, relative: str) -> None:
        """Delete a folder with all that is in it, or a file; one that is gone is gone."""
        kind = self._type(relative)
        if kind == FileType.Directory:
            self.filesystem.delete_dir(self.path(relative))
        elif kind == FileType.File:
            self.filesystem.delete_file(self.path(relative))

    @contextmanager
    def opened(self, relative: str) -> Iterator[Path]:
        """A folder of this store as a folder on this machine's disk, for as long as it is needed.

        Raises:
            FileNotFoundError: there is none.
        """
        if not self.is_folder(relative):
            raise FileNotFoundError(f"{self.path(relative)} is missing")
        if self.local is not None:
            yield self.local / relative
            return
        with tempfile.TemporaryDirectory(prefix="aflora-search-") as name:
            copy_files(self.path(relative), name, self.filesystem, LocalFileSystem())
            yield Path(name)

    def __str__(self) -> str:
        if self.local is not None:
            return self.root
        return f"{self.filesystem.type_name}://{self.root}"


def same_place(store: Store, folder: Path) -> bool:
    """Whether a store is a folder of this machine's disk."""
    return store.local is not None and store.local.resolve() == folder.resolve()
