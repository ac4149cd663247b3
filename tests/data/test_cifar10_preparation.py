"""Preparing CIFAR-10 without TensorFlow, and every way in which that can fail."""

import contextlib
import http.server
import os
import resource
import signal
import textwrap
import threading
import time
from pathlib import Path

import pytest
from made.cifar10 import (
    WAYS_ON,
    accept,
    dataset_directory,
    official_contents,
    refusal,
    run_python,
    shard,
    write_archive,
)

from kerascnn.data import cifar10
from kerascnn.data import cifar10_preparation as preparation

# Makes TensorFlow look uninstalled, also to importlib.util.find_spec, which TFDS asks.
WITHOUT_TENSORFLOW = """
from importlib.machinery import PathFinder
find_spec = PathFinder.find_spec
def find_no_tensorflow(name, path=None, target=None):
    return None if name.split(".")[0] == "tensorflow" else find_spec(name, path, target)
PathFinder.find_spec = staticmethod(find_no_tensorflow)
"""


@pytest.fixture
def archive(tmp_path, monkeypatch) -> Path:
    """A tiny archive with the official layout, and its checksum taken for the official one."""
    path = write_archive(tmp_path / "cifar-10-binary.tar.gz", official_contents())
    accept(monkeypatch, path)
    return path


@pytest.fixture
def serve(monkeypatch):
    """Serve bytes as the official archive; `announced` is the length that the header claims."""
    with contextlib.ExitStack() as stack:

        def start(content: bytes, announced: int | None = None, status: int = 200) -> None:
            class Handler(http.server.BaseHTTPRequestHandler):
                def do_GET(self):
                    self.send_response(status)
                    self.send_header("Content-Length", str(announced or len(content)))
                    self.end_headers()
                    self.wfile.write(content)

                def log_message(self, *_):
                    pass

            server = stack.enter_context(http.server.HTTPServer(("127.0.0.1", 0), Handler))
            stack.callback(server.shutdown)
            threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
            url = f"http://127.0.0.1:{server.server_port}/cifar-10-binary.tar.gz"
            monkeypatch.setattr(preparation, "ARCHIVE_URL", url)
            monkeypatch.setenv("no_proxy", "127.0.0.1")

        yield start


def test_importing_the_modules_imports_neither_tfds_nor_pillow():
    heavy = "{'tensorflow_datasets', 'PIL', 'requests', 'rich', 'array_record'}"
    code = (
        f"import sys; import kerascnn.data.cifar10_preparation; print({heavy} & set(sys.modules))"
    )
    assert run_python(code).stdout.strip() == "set()"


def test_url_and_class_names_are_those_of_tfds(prepared_once):
    import tensorflow_datasets as tfds

    builder = tfds.builder("cifar10", data_dir=prepared_once)
    assert preparation.ARCHIVE_URL in tfds.builder_cls("cifar10").url_infos
    assert tuple(builder.info.features["label"].names) == cifar10.CLASS_NAMES
    assert str(builder.version) == cifar10.VERSION


def test_prepares_and_reads_without_tensorflow(archive, tmp_path):
    code = f"""
    import sys, warnings
    warnings.simplefilter("error")
    from kerascnn.data import cifar10
    from kerascnn.data import cifar10_preparation as preparation
    preparation.ARCHIVE_MD5 = {preparation.ARCHIVE_MD5!r}
    preparation.prepare({str(tmp_path)!r}, {str(archive)!r})
    images, labels = cifar10.read_split("train", {str(tmp_path)!r})
    print(images.shape, "tensorflow" in sys.modules)
    """
    done = run_python(WITHOUT_TENSORFLOW + textwrap.dedent(code))
    assert (done.returncode, done.stdout) == (0, "(15, 32, 32, 3) False\n"), done.stderr
    assert done.stderr == ""


# Preparing


def test_prepare_leaves_the_dataset_and_nothing_else(archive, tmp_path):
    target = tmp_path / "deep" / "data"
    steps = []
    assert preparation.prepare(target, archive, lambda *step: steps.append(step)) == target
    assert steps[-1] == ("write images", 18, 18)
    assert [path.name for path in target.iterdir()] == ["cifar10"]
    assert [path.name for path in (target / "cifar10").iterdir()] == ["3.0.2"]
    names = {path.name for path in dataset_directory(target).iterdir()}
    assert {"dataset_info.json", "features.json", "label.labels.txt"} < names
    assert str(tmp_path) not in (dataset_directory(target) / "dataset_info.json").read_text()


def test_prepare_prints_nothing(archive, tmp_path, capfd):
    preparation.prepare(tmp_path / "data", archive)
    assert capfd.readouterr() == ("", "")


def test_prepare_is_deterministic(prepared_once, archive, tmp_path):
    preparation.prepare(tmp_path / "data", archive)
    for split in ("train", "test"):
        again = shard(tmp_path / "data", split).read_bytes()
        assert again == shard(prepared_once, split).read_bytes()


def test_prepared_already_returns_at_once(prepared_once):
    before = cifar10.source_fingerprint(prepared_once)
    preparation.prepare(prepared_once, "no such archive")
    assert cifar10.source_fingerprint(prepared_once) == before


def test_prepare_leaves_a_damaged_dataset_alone(prepared, archive):
    shard(prepared).write_bytes(b"mine")
    assert "damaged" in refusal(preparation.prepare, prepared, archive)
    assert shard(prepared).read_bytes() == b"mine"


def test_prepare_clears_what_a_killed_one_left(archive, tmp_path):
    left = tmp_path / "data" / "cifar10" / "incomplete.ABCDEF_3.0.2"
    left.mkdir(parents=True)
    (left / "half.array_record").write_bytes(b"half")
    preparation.prepare(tmp_path / "data", archive)
    assert not left.exists()
    assert cifar10.is_prepared(tmp_path / "data")


def test_prepare_recovers_from_sigkill(archive, tmp_path):
    data_dir = tmp_path / "data"
    code = f"""
    import os, signal
    from kerascnn.data import cifar10_preparation as preparation
    preparation.ARCHIVE_MD5 = {preparation.ARCHIVE_MD5!r}
    preparation._REPORT_IMAGES = 1
    kill = lambda what, done, total: done == 10 and os.kill(os.getpid(), signal.SIGKILL)
    preparation.prepare({str(data_dir)!r}, {str(archive)!r}, kill)
    """
    assert run_python(code).returncode == -signal.SIGKILL
    assert list((data_dir / "cifar10").glob("incomplete.*"))
    assert "half-prepared" in refusal(cifar10.check_prepared, data_dir)
    preparation.prepare(data_dir, archive)
    assert [path.name for path in (data_dir / "cifar10").iterdir()] == ["3.0.2"]


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, SystemExit])
def test_an_interruption_leaves_nothing(archive, tmp_path, monkeypatch, interruption):
    monkeypatch.setattr(preparation, "_REPORT_IMAGES", 5)

    def interrupt(*told) -> None:
        raise interruption

    with pytest.raises(interruption):
        preparation.prepare(tmp_path / "data", archive, interrupt)
    assert not (tmp_path / "data").exists()


def test_an_empty_directory_under_the_final_name_is_no_obstacle(archive, tmp_path):
    dataset_directory(tmp_path / "data").mkdir(parents=True)
    preparation.prepare(tmp_path / "data", archive)
    assert cifar10.is_prepared(tmp_path / "data")


def test_two_preparations_at_once_are_refused(archive, tmp_path, monkeypatch):
    monkeypatch.setattr(preparation, "_REPORT_IMAGES", 18)
    messages = []

    def meanwhile(*told) -> None:
        messages.append(refusal(preparation.prepare, tmp_path / "data", archive))

    preparation.prepare(tmp_path / "data", archive, meanwhile)
    assert "Another process is preparing" in messages[0]
    assert cifar10.is_prepared(tmp_path / "data")


def test_a_target_that_cannot_be_made_is_refused(archive, tmp_path):
    (tmp_path / "file").write_text("in the way")
    assert "cannot be prepared in" in refusal(preparation.prepare, tmp_path / "file" / "x", archive)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_target_is_refused(archive, tmp_path):
    target = tmp_path / "data"
    target.mkdir(mode=0o500)
    assert "Permission denied" in refusal(preparation.prepare, target, archive)


def test_a_full_disk_is_refused_and_nothing_is_left(archive, tmp_path):
    code = f"""
    from kerascnn.data import cifar10_preparation as preparation
    from kerascnn.errors import DatasetError
    preparation.ARCHIVE_MD5 = {preparation.ARCHIVE_MD5!r}
    try:
        preparation.prepare({str(tmp_path / "data")!r}, {str(archive)!r})
    except DatasetError as error:
        print(error)
    """

    def limit_file_size() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, 20_000))

    done = run_python(code, preexec_fn=limit_file_size)
    assert "File too large" in done.stdout, done.stderr
    assert "400 MB free" in done.stdout
    assert not (tmp_path / "data").exists()


# The archive


def test_a_missing_archive_is_refused_and_nothing_is_left(tmp_path):
    message = refusal(preparation.prepare, tmp_path / "data", tmp_path / "no.tar.gz")
    assert "No such file" in message
    assert not (tmp_path / "data").exists()


def test_a_directory_as_archive_is_refused(tmp_path):
    assert "it is a directory" in refusal(preparation.prepare, tmp_path / "data", tmp_path)


def test_wrong_checksum_names_file_expected_and_found(archive, tmp_path, monkeypatch):
    found = preparation.ARCHIVE_MD5
    monkeypatch.setattr(preparation, "ARCHIVE_MD5", "c32a1d4ab5d03f1284b67883e8d87530")
    message = refusal(preparation.prepare, tmp_path / "data", archive)
    assert all(part in message for part in (str(archive), found, preparation.ARCHIVE_MD5))
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "damage",
    [
        lambda content: content[: len(content) // 2],
        lambda content: content[:-4],
        lambda content: b"<!DOCTYPE html>" * 100,
        lambda content: b"",
        lambda content: content[:9000] + bytes(999) + content[9999:],
    ],
)
def test_damaged_archive_is_refused_and_nothing_is_left(archive, tmp_path, damage):
    damaged = damage(archive.read_bytes())
    archive.write_bytes(damaged)
    message = refusal(preparation.prepare, tmp_path / "data", archive)
    assert "is not the official one, or is damaged" in message
    assert f"found {len(damaged):,} bytes" in message
    assert all(part in message for part in (str(archive), preparation.ARCHIVE_MD5))
    assert not (tmp_path / "data").exists()


def test_no_member_is_written_under_its_own_name(tmp_path, monkeypatch):
    contents = {f"../../{name}": batch for name, batch in official_contents().items()}
    contents |= {"/tmp/kerascnn-evil": b"evil", "../kerascnn-evil": b"evil"}
    path = write_archive(tmp_path / "evil.tar.gz", contents)
    accept(monkeypatch, path)
    preparation.prepare(tmp_path / "deep" / "data", path)
    assert not Path("/tmp/kerascnn-evil").exists()
    assert not list(tmp_path.rglob("kerascnn-evil"))
    assert not list(tmp_path.rglob("*.bin"))


# The download


def test_downloads_with_progress_and_keeps_no_archive(archive, tmp_path, serve, monkeypatch):
    content = archive.read_bytes()
    archive.unlink()
    serve(content)
    monkeypatch.setattr(preparation, "_DOWNLOAD_BYTES", len(content) // 2 + 1)
    steps = []
    preparation.prepare(tmp_path / "data", progress=lambda *step: steps.append(step))
    half = len(content) // 2 + 1
    assert steps == [
        ("download", half, len(content)),
        ("download", len(content), len(content)),
        ("write images", 18, 18),
    ]
    assert [path.name for path in tmp_path.iterdir()] == ["data"]
    assert [path.name for path in (tmp_path / "data" / "cifar10").iterdir()] == ["3.0.2"]


def test_a_broken_off_download_is_refused_and_nothing_is_left(archive, tmp_path, serve):
    content = archive.read_bytes()
    serve(content[:5000], announced=len(content))
    assert "found 5,000 bytes" in refusal(preparation.prepare, tmp_path / "data")
    assert not (tmp_path / "data").exists()


def test_a_page_instead_of_the_archive_is_refused(tmp_path, serve):
    serve(b"<html>Log in to this network</html>")
    assert "is not the official one" in refusal(preparation.prepare, tmp_path / "data")


def test_an_error_of_the_server_names_the_three_ways_on(tmp_path, serve):
    serve(b"gone", status=404)
    message = refusal(preparation.prepare, tmp_path / "data")
    assert "Not Found" in message
    assert all(way in message for way in WAYS_ON)


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/x", "http://does-not-exist.invalid/x"])
def test_no_network_is_refused_quickly_with_the_three_ways_on(tmp_path, monkeypatch, url):
    monkeypatch.setattr(preparation, "ARCHIVE_URL", url)
    start = time.monotonic()
    message = refusal(preparation.prepare, tmp_path / "data")
    assert time.monotonic() - start < 10
    assert all(way in message for way in WAYS_ON)
    assert not (tmp_path / "data").exists()


def test_a_dead_proxy_is_refused_quickly(tmp_path, monkeypatch):
    for name in ("http_proxy", "https_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    start = time.monotonic()
    assert "cannot be downloaded" in refusal(preparation.prepare, tmp_path / "data")
    assert time.monotonic() - start < 10


def test_a_name_server_that_hangs_is_given_up(tmp_path, monkeypatch):
    released = threading.Event()

    def hang(*arguments, **options):
        released.wait(20)
        raise OSError("released")

    monkeypatch.setattr(preparation.urllib.request, "urlopen", hang)
    monkeypatch.setattr(preparation, "_CONNECT_SECONDS", 0.2)
    message = refusal(preparation.prepare, tmp_path / "data")
    released.set()
    assert "no answer within 0.2 seconds" in message
    assert all(way in message for way in WAYS_ON)
