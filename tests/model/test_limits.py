"""A small file of a model that would be built for minutes or fill the memory is refused at once."""

import json
import os
import threading
import time
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest
from keras import layers
from made.malice import save_good, with_config, with_weights
from made.slow_models import SLOW, backwards_of, in_each_other, metric, twice_in_each_other

from kerascnn.errors import ModelError
from kerascnn.model import limits, load
from kerascnn.model.limits import check_config, check_tensors, in_time
from kerascnn.model.load import load_model


@pytest.mark.parametrize("kind", SLOW)
def test_a_small_file_that_would_be_built_for_long_is_refused_at_once(kind):
    path = SLOW[kind]()
    assert path.stat().st_size < 200_000
    start = time.process_time()
    with pytest.raises(ModelError, match=r"^'slow.keras' cannot be loaded: i"):
        load_model(path)
    assert time.process_time() - start < 5


@pytest.mark.parametrize(
    "make", [lambda: twice_in_each_other(5), lambda: in_each_other(10), lambda: metric(3)]
)
def test_the_same_in_small_is_loaded(make):
    load_model(make())


def test_what_takes_long_all_the_same_is_stopped(monkeypatch):
    monkeypatch.setattr(limits, "HARMLESS_SECONDS", 0.3)
    path = backwards_of(2000)
    start = time.process_time()
    with pytest.raises(ModelError, match="it is not built within 0 seconds, too long for its wei"):
        load_model(path)
    assert time.process_time() - start < 4
    assert not [
        thread for thread in threading.enumerate() if thread.daemon and "run" in str(thread)
    ]


def test_work_in_time_gives_its_result_or_its_error():
    assert in_time(lambda: 5, 0) == 5
    with pytest.raises(KeyError):
        in_time(lambda: {}[1], 0)


@pytest.mark.parametrize("build", ["Xception", "DenseNet121", "EfficientNetV2B0"])
@pytest.mark.slow
def test_keras_applications_are_within_all_limits(build):
    with keras.StatelessScope(initialize_variables=False):
        model = getattr(keras.applications, build)(weights=None, classes=5)
    check_config(json.loads(model.to_json()), model.count_params())
    check_tensors(model)


def test_a_long_model_of_real_weights_is_within_them():
    row = {"class_name": "Conv2D", "module": "keras.layers", "config": {"name": "conv"}}
    config = {"class_name": "Sequential", "module": "keras", "config": {"layers": [row] * 200}}
    check_config(config, 10**7)
    with pytest.raises(ValueError, match="it takes 20,101 calls of layers to build; at most 10,00"):
        check_config(config, 100)


@pytest.mark.parametrize("key", ["name", "any"])
def test_long_texts_are_refused(key):
    with pytest.raises(ValueError, match=r"a text of 100,001 characters; at most 10?0?,?000$"):
        check_config({"config": {key: "x" * 100_001}}, 0)


def test_weights_that_unfold_in_the_archive_and_in_themselves_are_refused():
    def zeros(weights):
        weights.create_dataset("more", data=np.zeros(3 * 10**6), compression="gzip")
        for number in range(40):
            weights.create_dataset(
                f"same{number}", data=np.zeros(2 * 10**5), chunks=(2 * 10**5,), compression="gzip"
            )

    path = with_weights(save_good("bad.keras"), zeros)
    with h5py.File("plain.h5", "w") as file:
        zeros(file)
    with pytest.raises(ModelError, match=r"its weights .*claim .* bytes, but .* stored"):
        load_model(path)


def test_a_device_is_refused_and_not_read():
    Path("zero.keras").symlink_to("/dev/zero")
    os.mkfifo("pipe.keras")
    for name in ("zero.keras", "pipe.keras"):
        with pytest.raises(ModelError, match=r"it is a (named pipe|directory|device), not a file"):
            load_model(Path(name))


def test_inner_models_are_looked_into():
    image = keras.Input((8, 8, 3))
    inner = keras.Sequential([layers.UpSampling2D(10**4), layers.GlobalMaxPooling2D()])
    model = keras.Model(image, inner(image))
    with pytest.raises(
        ValueError, match=r"its 'up_sampling2d.*' has 19,200,000,000 values for one"
    ):
        check_tensors(model)


def test_pictures_of_any_size_are_taken_as_they_are_shown():
    image = keras.Input((None, None, 3))
    check_tensors(keras.Model(image, layers.UpSampling2D(10)(image)))
    with pytest.raises(ValueError, match="values for one picture"):
        check_tensors(keras.Model(image, layers.Conv2D(20_000, 1)(image)))


def test_every_variable_counts_also_one_of_no_layer():
    with pytest.raises(ModelError, match="it has 100,000,000 weights, but 547 are stored"):
        load_model(metric(10**4))
    assert load.HARMLESS_WEIGHTS < 10**8
    with_config(save_good("good.keras"), lambda config: None)
    load_model(Path("good.keras"))
