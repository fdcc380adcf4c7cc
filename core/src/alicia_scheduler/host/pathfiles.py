"""Editable installs: pip points at them in path files, which Python reads only when it starts."""

from __future__ import annotations

import contextlib
import logging
import re
import site
import sys
from collections.abc import Iterable
from pathlib import Path

__all__ = ["follow_path_files"]

logger = logging.getLogger(__name__)

_IMPORT = re.compile(r"import[ \t]+([A-Za-z_]\w*)")


def follow_path_files(folders: Iterable[str] | None = None) -> None:
    """Do what the path files of the site folders ask for, as :mod:`site` did when Python started,
    as far as it is not done: put folders on ``sys.path``, and run lines that import a module that
    is not imported yet (setuptools has such for its editable installs).

    Args:
        folders: those with path files; by default the site folders that are on ``sys.path``.
    """
    if folders is None:
        folders = [each for each in _site_folders() if each in sys.path]
    for folder in folders:
        for file in sorted(Path(folder).glob("*.pth")):
            if file.name.startswith("."):
                continue
            try:
                lines = file.read_text("utf-8-sig").splitlines()
            except (OSError, UnicodeDecodeError):
                continue  # Python passes over it as well
            for line in lines:
                _follow(line.rstrip(), file)


def _site_folders() -> list[str]:
    own = [site.getusersitepackages()] if site.ENABLE_USER_SITE else []
    return own + site.getsitepackages()


def _follow(line: str, file: Path) -> None:
    if not line or line.startswith("#"):
        return
    if line.startswith(("import ", "import\t")):
        module = _IMPORT.match(line)
        if module is None or module[1] in sys.modules:
            return
        try:
            exec(line)  # noqa: S102 - as Python itself does at its next start
        except BaseException as error:
            if isinstance(error, KeyboardInterrupt):
                raise
            logger.warning("%s: %r: %s", file, line, error)
        return
    with contextlib.suppress(OSError, ValueError):
        folder = str((file.parent / line).resolve(strict=True))
        if folder not in map(_resolved, sys.path):
            sys.path.append(folder)


def _resolved(entry: str) -> str:
    with contextlib.suppress(OSError, ValueError):
        return str(Path(entry).resolve())
    return entry
