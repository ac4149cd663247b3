"""Reading a prepared CIFAR-10, and every way in which that can fail."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from made.cifar10 import NUM_PER_BATCH, WAYS_ON, dataset_directory, make_records, refusal, shard

from kerascnn.data import cifar10

# Where


def test_data_dir_is_the_argument_then_the_environment_then_home(monkeypatch):
    monkeypatch.setenv("TFDS_DATA_DIR", "/from/environment")
    assert cifar10.resolve_data_dir("~/given") == Path.home() / "given"
    assert cifar10.resolve_data_dir(None) == Path("/from/environment")
    monkeypatch.delenv("TFDS_DATA_DIR")
    assert cifar10.resolve_data_dir(None) == Path.home() / "tensorflow_datasets"


# What is not ready to be read


def test_nothing_there_names_the_three_ways_on(tmp_path):
    message = refusal(cifar10.check_prepared, tmp_path / "nowhere")
    assert "is not there" in message
    assert all(way in message for way in WAYS_ON)
    assert not cifar10.is_prepared(tmp_path / "nowhere")


def test_an_interrupted_preparation_is_called_half_prepared(tmp_path):
    (tmp_path / "cifar10" / "incomplete.ABCDEF_3.0.2").mkdir(parents=True)
    message = refusal(cifar10.check_prepared, tmp_path)
    assert "half-prepared" in message
    assert "incomplete.ABCDEF_3.0.2" in message


@pytest.mark.parametrize("name", ["dataset_info.json", "cifar10-test.array_record-00000-of-00001"])
def test_a_missing_file_is_called_half_prepared(prepared, name):
    (dataset_directory(prepared) / name).unlink()
    message = refusal(cifar10.check_prepared, prepared)
    assert "half-prepared" in message
    assert name in message


@pytest.mark.parametrize("information", [{"fileFormat": "tfrecord"}, {}])
def test_tfrecord_is_refused_by_name(prepared, information):
    (dataset_directory(prepared) / "dataset_info.json").write_text(json.dumps(information))
    message = refusal(cifar10.check_prepared, prepared)
    assert "'tfrecord'" in message
    assert "'array_record'" in message


@pytest.mark.parametrize("text", ["{not json", "[]", "\x00\xff", '{"fileFormat": "array_record"}'])
def test_metadata_that_cannot_be_parsed_is_called_damaged(prepared, text):
    (dataset_directory(prepared) / "dataset_info.json").write_bytes(text.encode("latin-1"))
    assert "dataset_info.json" in refusal(cifar10.check_prepared, prepared)


@pytest.mark.parametrize("keep", [0, 1000, -1])
def test_a_truncated_shard_is_called_damaged(prepared, keep):
    path = shard(prepared)
    path.write_bytes(path.read_bytes()[:keep])
    message = refusal(cifar10.read_split, "train", prepared)
    assert "damaged" in message
    assert path.name in message


def test_a_wrong_number_of_records_is_called_damaged(prepared):
    shutil.copy(shard(prepared, "test"), shard(prepared, "train"))
    message = refusal(cifar10.check_prepared, prepared)
    assert f"has {NUM_PER_BATCH} records, expected {5 * NUM_PER_BATCH}" in message


def test_flipped_bytes_in_a_record_are_called_damaged(prepared):
    path = shard(prepared)
    content = bytearray(path.read_bytes())
    middle = content.index(b"\x89PNG") + 500
    content[middle : middle + 20] = bytes(20)
    path.write_bytes(content)
    cifar10.check_prepared(prepared)
    message = refusal(cifar10.read_split, "train", prepared)
    assert "damaged" in message
    assert "train[0:15]" in message


def test_a_damaged_features_file_is_a_dataset_error(prepared):
    (dataset_directory(prepared) / "features.json").write_text("{")
    assert "damaged" in refusal(cifar10.read_split, "train", prepared)


# The fingerprint


def test_fingerprint_is_stable_and_changes_with_time_and_size(prepared):
    first = cifar10.source_fingerprint(prepared)
    assert cifar10.source_fingerprint(prepared) == first
    os.utime(shard(prepared, "test"), ns=(0, 0))
    second = cifar10.source_fingerprint(prepared)
    with shard(prepared, "train").open("ab") as file:
        file.write(b"x")
    os.utime(shard(prepared, "train"), ns=(0, 0))
    assert len({first, second, cifar10.source_fingerprint(prepared)}) == 3


def test_fingerprint_of_nothing_is_refused(tmp_path):
    assert "is not there" in refusal(cifar10.source_fingerprint, tmp_path)


# Reading


def test_reads_what_was_prepared(prepared_once):
    records = make_records().reshape(-1, 3073)
    for split, expected in (("train", records[:15]), ("test", records[15:])):
        images, labels = cifar10.read_split(split, prepared_once)
        assert images.shape == (len(expected), 32, 32, 3)
        assert (images.dtype, labels.dtype) == (np.uint8, np.int64)
        planes = images.transpose(0, 3, 1, 2).reshape(len(images), -1)
        found = np.column_stack([labels.astype(np.uint8), planes])
        assert sorted(map(bytes, found)) == sorted(map(bytes, expected))


def test_order_and_decoding_are_those_of_the_data_source(prepared_once):
    import tensorflow_datasets as tfds

    source = tfds.data_source("cifar10", split="train", data_dir=prepared_once, download=False)
    images, labels = cifar10.read_split("train", prepared_once)
    np.testing.assert_array_equal(images, [example["image"] for example in source])
    np.testing.assert_array_equal(labels, [example["label"] for example in source])


def test_reading_in_pieces_reports_progress_and_changes_nothing(prepared_once, monkeypatch):
    whole, _ = cifar10.read_split("train", prepared_once)
    monkeypatch.setattr(cifar10, "_READ_RECORDS", 4)
    seen = []
    pieces, _ = cifar10.read_split("train", prepared_once, lambda *step: seen.append(step))
    assert seen == [("decode train", done, 15) for done in (4, 8, 12, 15)]
    np.testing.assert_array_equal(pieces, whole)


def test_real_training_images_have_the_known_means_and_counts(cifar10_dir):
    images, labels = cifar10.read_split("train", cifar10_dir)
    means = images.mean(axis=(0, 1, 2)) / 255
    np.testing.assert_allclose(means, [0.4914, 0.4822, 0.4465], atol=5e-5)
    assert np.bincount(labels).tolist() == [5000] * 10


def test_real_test_images_have_the_known_counts(cifar10_dir):
    images, labels = cifar10.read_split("test", cifar10_dir)
    assert images.shape == (10000, 32, 32, 3)
    assert np.bincount(labels).tolist() == [1000] * 10
