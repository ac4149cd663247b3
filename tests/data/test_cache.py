"""The cache: decoded once, mapped from then on, and never in the way."""

import json
import os
import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from kerascnn.data import cache


@pytest.fixture(autouse=True)
def directory(tmp_path, monkeypatch):
    """An empty cache of this test's own."""
    monkeypatch.setenv("KERASCNN_CACHE_DIR", str(tmp_path / "own"))
    return tmp_path / "own"


class Builder:
    """Builds two arrays and counts how often."""

    def __init__(self, start=0):
        self.start, self.count = start, 0

    def __call__(self):
        self.count += 1
        images = np.arange(self.start, self.start + 60, dtype="uint8").reshape(5, 4, 3)
        return {"images": images, "labels": np.arange(5, dtype="int32")}


def assert_right(arrays, start=0):
    expected = Builder(start)()
    assert set(arrays) == set(expected)
    for name, array in expected.items():
        np.testing.assert_array_equal(arrays[name], array, strict=True)


def entry(directory):
    (found,) = directory.iterdir()
    return found


def test_arrays_are_built_once_and_mapped_read_only(directory):
    build = Builder()
    for _ in range(2):
        arrays = cache.load("numbers", "f", build)
        assert_right(arrays)
        assert all(isinstance(array, np.memmap) for array in arrays.values())
        with pytest.raises(ValueError, match="read-only"):
            arrays["labels"][0] = 1
    assert build.count == 1
    assert entry(directory).name.startswith("numbers-")


def test_another_fingerprint_and_another_name_are_other_entries(directory):
    cache.load("numbers", "f", Builder(0))
    assert_right(cache.load("numbers", "g", Builder(1)), 1)
    assert_right(cache.load("others", "f", Builder(2)), 2)
    assert_right(cache.load("numbers", "f", Builder(9)), 0)
    assert len(list(directory.iterdir())) == 3


@pytest.mark.parametrize("name", ["images.npy", "labels.npy", "checksums.json"])
@pytest.mark.parametrize("damage", ["absent", "empty", "truncated"])
def test_damaged_entry_is_built_again(directory, name, damage):
    cache.load("numbers", "f", Builder())
    path = entry(directory) / name
    whole = path.read_bytes()
    path.unlink()
    if damage != "absent":
        path.write_bytes(b"" if damage == "empty" else whole[:-1])
    build = Builder()
    assert_right(cache.load("numbers", "f", build))
    assert build.count == 1
    assert path.read_bytes() == whole


@pytest.mark.parametrize("content", ["[]", "{}", "3", '["images"]', '{"images": 1}'])
def test_checksums_of_another_kind_are_damage(directory, content):
    cache.load("numbers", "f", Builder())
    (entry(directory) / "checksums.json").chmod(0o600)
    (entry(directory) / "checksums.json").write_text(content)
    build = Builder()
    assert_right(cache.load("numbers", "f", build))
    assert build.count == 1


@pytest.mark.filterwarnings("ignore")  # numpy warns of odd headers
def test_no_flipped_bit_gets_through(directory):
    cache.load("numbers", "f", Builder())
    path = entry(directory) / "labels.npy"
    whole = path.read_bytes()
    # 21 holds the byte order, 1 the bit between little and big endian.
    for place in (*range(0, 21, 4), *range(21, 65), 128, len(whole) - 1):
        for bit in (0, 1):
            changed = bytearray(whole)
            changed[place] ^= 1 << bit
            path.chmod(0o600)
            path.write_bytes(changed)
            assert_right(cache.load("numbers", "f", Builder()))


def test_nothing_is_left_beside_the_entry(directory):
    cache.load("numbers", "f", Builder())
    assert sorted(path.name for path in entry(directory).iterdir()) == [
        "checksums.json",
        "images.npy",
        "labels.npy",
    ]


def test_build_that_fails_leaves_no_entry(directory):
    def build():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        cache.load("numbers", "f", build)
    assert not directory.exists()


@pytest.mark.parametrize("obstacle", ["a file for the cache", "a file for the entry"])
def test_cache_that_cannot_be_written_gives_arrays_from_memory(directory, obstacle):
    if obstacle == "a file for the cache":
        directory.write_text("")
    else:
        cache.load("numbers", "f", Builder())
        place = entry(directory)
        place.rename(directory / "elsewhere")
        place.write_text("")
    build = Builder()
    for _ in range(2):
        arrays = cache.load("numbers", "f", build)
        assert_right(arrays)
        with pytest.raises(ValueError, match="read-only"):
            arrays["labels"][0] = 1
    assert build.count == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_cache_without_permission_gives_arrays_from_memory(directory):
    directory.mkdir(mode=0o500)
    assert_right(cache.load("numbers", "f", Builder()))


@pytest.mark.parametrize("damaged", [False, True])
def test_processes_at_once_all_get_the_arrays_and_leave_one_entry(directory, tmp_path, damaged):
    if damaged:
        cache.load("numbers", "f", Builder())
        (entry(directory) / "checksums.json").chmod(0o600)
        (entry(directory) / "checksums.json").write_text("{")
    program = textwrap.dedent("""
        import pathlib, sys, time
        import numpy as np
        from kerascnn.data import cache

        def build():
            pathlib.Path(sys.argv[1]).touch()
            while len(list(pathlib.Path().glob("building-*"))) < 3:
                time.sleep(0.01)
            return {"numbers": np.arange(100_000)}

        print(cache.load("numbers", "f", build)["numbers"].sum())
    """)
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", program, f"building-{number}"],
            cwd=tmp_path,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for number in range(3)
    ]
    assert [process.communicate(timeout=60) for process in processes] == [("4999950000\n", "")] * 3
    assert list(json.loads((entry(directory) / "checksums.json").read_text())) == ["numbers"]


def test_an_entry_written_anew_leaves_what_others_have_mapped_as_it_is(directory, tmp_path):
    """Another process has the arrays mapped while a file of the entry is damaged and replaced."""
    program = textwrap.dedent("""
        import sys
        import numpy as np
        from kerascnn.data import cache

        arrays = cache.load("numbers", "f", lambda: {"numbers": np.arange(1_000_000)})
        print("mapped", isinstance(arrays["numbers"], np.memmap), flush=True)
        sys.stdin.readline()
        print(arrays["numbers"].sum())
    """)
    holder = subprocess.Popen(
        [sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout.readline() == "mapped True\n"
    file = entry(directory) / "numbers.npy"
    mapped = file.stat()
    (entry(directory) / "checksums.json").chmod(0o600)
    (entry(directory) / "checksums.json").write_text("{")
    cache.load("numbers", "f", lambda: {"numbers": np.arange(10)})
    assert file.stat().st_ino != mapped.st_ino
    assert file.stat().st_size < mapped.st_size
    assert holder.communicate("\n", timeout=60)[0] == "499999500000\n"
    assert holder.returncode == 0
    assert len(list(directory.iterdir())) == 1


def test_files_that_are_mapped_may_not_be_written(directory):
    cache.load("numbers", "f", Builder())
    assert {path.stat().st_mode & 0o777 for path in entry(directory).iterdir()} == {0o444}


def test_pipes_in_the_cache_are_damage_and_not_waited_for(directory):
    for name in ("images.npy", "checksums.json"):
        cache.load("numbers", "f", Builder())
        (entry(directory) / name).unlink()
        os.mkfifo(entry(directory) / name)
        assert_right(cache.load("numbers", "f", Builder()))


def test_cache_directory_is_the_users_unless_told_otherwise(directory, monkeypatch):
    assert cache.cache_directory() == directory
    monkeypatch.delenv("KERASCNN_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/somewhere")
    if sys.platform == "linux":
        assert cache.cache_directory() == Path("/somewhere/kerascnn")
