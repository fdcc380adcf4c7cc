"""Hosts that end with their test, and disks of their own."""

import subprocess

import pytest
from tests.storage.trouble import TICKS
from tests.witness.process import Host


@pytest.fixture
def make_host(tmp_path):
    """Makes hosts of two ticking events, each in a home of its own unless one is given."""
    made = []

    def make(home=None, **options):
        home = home or tmp_path / f"home-{len(made)}"
        home.mkdir(exist_ok=True)
        host = Host(home, TICKS, **options)
        made.append(host)
        return host

    yield make
    for host in made:
        host.close()


def run(*command):
    return subprocess.run(command, check=False, capture_output=True, text=True)


@pytest.fixture
def small_disk(tmp_path):
    """A disk of 8 MiB of its own."""
    directory = tmp_path / "disk"
    directory.mkdir()
    done = run("mount", "-t", "tmpfs", "-o", "size=8m,mode=0700", "tmpfs", str(directory))
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield directory
    assert run("umount", str(directory)).returncode == 0


@pytest.fixture
def real_disk(tmp_path):
    """An ext4 of its own, on a file; and what makes it read-only as an error does."""
    image, directory = tmp_path / "ext4", tmp_path / "disk"
    directory.mkdir()
    with image.open("wb") as file:
        file.truncate(32 * 1024 * 1024)
    for command in (
        ("mkfs.ext4", "-q", str(image)),
        ("mount", "-o", "loop,errors=remount-ro", str(image), str(directory)),
    ):
        try:
            done = run(*command)
        except FileNotFoundError:
            pytest.skip(f"{command[0]} is missing (apt install e2fsprogs)")
        if done.returncode:
            pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield directory, lambda: run("mount", "-o", "remount,abort", str(directory))
    assert run("umount", str(directory)).returncode == 0
