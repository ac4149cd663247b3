"""The fast training step gives stock Keras's numbers, or leaves the model to stock Keras."""

import keras
import numpy as np
import pytest
from keras import layers

from kerascnn.model.build import compile_model
from kerascnn.recipe import load_recipe
from kerascnn.training.steps import use_fast_step

BACKEND = keras.config.backend()
torch_only = pytest.mark.skipif(BACKEND != "torch", reason="what torch alone does")
jax_only = pytest.mark.skipif(BACKEND != "jax", reason="what jax alone does")
not_torch = pytest.mark.skipif(BACKEND == "torch", reason="what torch does otherwise")
tensorflow_only = pytest.mark.skipif(BACKEND != "tensorflow", reason="what tensorflow alone does")
# Float32 sums in another order: a few units in the last place a step, more after many steps.
CLOSE = {"rtol": 1e-4, "atol": 2e-5}
NUM_CLASSES = 4
IMAGE_SHAPE = (8, 8, 3)
LOSS = keras.losses.SparseCategoricalCrossentropy


@pytest.fixture(autouse=True)
def _same_initial_weights_in_every_run():
    keras.utils.set_random_seed(5)


def draw_images(num_images=24, shape=IMAGE_SHAPE, seed=0):
    generator = np.random.default_rng(seed)
    images = generator.integers(0, 256, (num_images, *shape)).astype("uint8")
    return images, generator.integers(0, NUM_CLASSES, num_images).astype("int32")


def chain(*calls, image_shape=IMAGE_SHAPE, dtype="float32"):
    x = image = keras.Input(image_shape, dtype=dtype)
    for call in (layers.Rescaling(1 / 127.5, -1.0), *calls):
        x = call(x)
    return keras.Model(image, x)


def body(*calls):
    """A chain around `calls`, which take and give feature maps, with everything that is lowered."""
    return chain(
        layers.Conv2D(6, 3, padding="same"),
        *calls,
        layers.Flatten(),
        layers.Dense(NUM_CLASSES),
    )


def compile_plain(model, optimizer=None, loss=None, **settings):
    model.compile(
        optimizer or keras.optimizers.SGD(0.05, momentum=0.9),
        loss or LOSS(from_logits=True),
        **{"metrics": ["accuracy"], **settings},
    )
    return model


def twins(build):
    """The same compiled model twice, one of them with the fast step where it takes one."""
    stock, fast = build(), build()
    fast.set_weights(stock.get_weights())
    return stock, fast, use_fast_step(fast)


class Losses(keras.callbacks.Callback):
    """Every step's running loss."""

    def on_train_begin(self, logs=None):
        self.losses = []

    def on_train_batch_end(self, batch, logs=None):
        self.losses.append(float(logs["loss"]))


def fit(model, images, labels, epochs=2, batch_size=10, callbacks=(), **settings):
    losses = Losses()
    history = model.fit(
        images,
        labels,
        epochs=epochs,
        batch_size=batch_size,
        shuffle=False,
        verbose=0,
        callbacks=[losses, *callbacks],
        **{"validation_data": draw_images(7, images.shape[1:], seed=9), **settings},
    )
    return {"steps": losses.losses, **history.history}


def assert_same_numbers(one, other):
    assert one.keys() == other.keys()
    for name in one:
        np.testing.assert_allclose(other[name], one[name], err_msg=name, **CLOSE)


def assert_same_weights(stock, fast):
    for one, other in zip(stock.variables, fast.variables, strict=True):
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(other),
            keras.ops.convert_to_numpy(one),
            err_msg=one.path,
            **CLOSE,
        )


def assert_same_training(build, fit_settings=None, takes_fast_step=None):
    """Fit both twins; their losses, metrics, weights and statistics are the same."""
    stock, fast, is_fast = twins(build)
    if takes_fast_step is not None:
        assert is_fast == takes_fast_step
    images, labels = draw_images(shape=stock.input_shape[1:])
    settings = fit_settings or {}
    assert_same_numbers(
        fit(stock, images, labels, **settings), fit(fast, images, labels, **settings)
    )
    assert_same_weights(stock, fast)


LOWERED = {
    "the same convolution": lambda: body(),
    "valid convolution": lambda: body(layers.Conv2D(5, 3)),
    "strided valid convolution": lambda: body(layers.Conv2D(5, 3, strides=2)),
    "strided same convolution": lambda: body(layers.Conv2D(5, 3, strides=2, padding="same")),
    "even kernel, same": lambda: body(layers.Conv2D(5, 2, padding="same")),
    "oblong kernel": lambda: body(layers.Conv2D(5, (1, 5), padding="same")),
    "dilated convolution": lambda: body(layers.Conv2D(5, 3, dilation_rate=2, padding="same")),
    "oblong dilation": lambda: body(layers.Conv2D(5, 3, dilation_rate=(1, 3), padding="same")),
    "dilated valid convolution": lambda: body(layers.Conv2D(5, 3, dilation_rate=(2, 1))),
    "grouped convolution": lambda: body(layers.Conv2D(9, 3, groups=3, padding="same")),
    "convolution without bias": lambda: body(layers.Conv2D(5, 3, use_bias=False)),
    "convolution with activation": lambda: body(layers.Conv2D(5, 3, activation="tanh")),
    "channels-first convolution": lambda: body(layers.Conv2D(5, 3, data_format="channels_first")),
    "batch normalization": lambda: body(layers.BatchNormalization()),
    "batch normalization of other constants": lambda: body(
        layers.BatchNormalization(momentum=0.6, epsilon=0.1)
    ),
    "batch normalization without scale": lambda: body(layers.BatchNormalization(scale=False)),
    "batch normalization without centre": lambda: body(layers.BatchNormalization(center=False)),
    "batch normalization over rows": lambda: body(layers.BatchNormalization(axis=1)),
    "batch normalization over axis 3": lambda: body(layers.BatchNormalization(axis=3)),
    "batch renormalization": lambda: body(
        layers.BatchNormalization(
            renorm=True, renorm_clipping={"rmax": 1.1, "rmin": 0.9, "dmax": 0.1}
        )
    ),
    "frozen batch normalization": lambda: body(layers.BatchNormalization(trainable=False)),
    "batch normalization of units": lambda: chain(
        layers.Flatten(), layers.Dense(9), layers.BatchNormalization(), layers.Dense(NUM_CLASSES)
    ),
    "max pooling": lambda: body(layers.MaxPooling2D(2)),
    "overlapping max pooling": lambda: body(layers.MaxPooling2D(3, strides=1)),
    "oblong max pooling": lambda: body(layers.MaxPooling2D((1, 2), strides=(3, 1))),
    "max pooling, same": lambda: body(layers.ReLU(), layers.MaxPooling2D(3, padding="same")),
    "channels-first max pooling": lambda: body(
        layers.MaxPooling2D(2, data_format="channels_first")
    ),
    "pooling after rectifier": lambda: body(layers.ReLU(), layers.MaxPooling2D(2)),
    "pooling between rectifiers": lambda: body(
        layers.ReLU(), layers.MaxPooling2D(2), layers.ReLU(), layers.MaxPooling2D(2)
    ),
    "pooling after leaky rectifier": lambda: body(
        layers.ReLU(negative_slope=0.3), layers.MaxPooling2D(2)
    ),
    "capped rectifier": lambda: body(layers.ReLU(max_value=0.2)),
    "rectifier with threshold": lambda: body(layers.ReLU(threshold=0.3), layers.MaxPooling2D(2)),
    "frozen convolution": lambda: body(layers.Conv2D(5, 3, trainable=False)),
    "frozen dense": lambda: body(layers.Flatten(), layers.Dense(7, trainable=False)),
    "dense without bias": lambda: body(layers.Flatten(), layers.Dense(7, use_bias=False)),
    "dense with activation": lambda: body(layers.Flatten(), layers.Dense(7, activation="relu")),
    "dense over channels": lambda: body(layers.Dense(7)),
    "channels-first flatten": lambda: body(layers.Flatten(data_format="channels_first")),
    "rescaling by channel": lambda: chain(
        layers.Rescaling([0.1, 0.2, 0.3], [0.0, 1.0, -1.0]),
        layers.Flatten(),
        layers.Dense(NUM_CLASSES),
    ),
}

OTHER = {
    "average pooling": lambda: body(layers.AveragePooling2D(2)),
    "global pooling": lambda: chain(
        layers.Conv2D(6, 3), layers.GlobalAveragePooling2D(), layers.Dense(NUM_CLASSES)
    ),
    "depthwise convolution": lambda: body(layers.DepthwiseConv2D(3)),
    "separate activation": lambda: body(layers.Activation("gelu")),
    "activation made noisy": lambda: body(layers.GaussianNoise(0.5, seed=4)),
    "probabilities out": lambda: body(
        layers.Flatten(), layers.Dense(NUM_CLASSES), layers.Softmax()
    ),
    "nested model": lambda: body(
        keras.Sequential([layers.Conv2D(5, 3), layers.BatchNormalization()])
    ),
    "batch normalization called in inference mode": lambda: body(
        lambda x: layers.BatchNormalization()(x, training=False)
    ),
    "batch normalization called in training mode": lambda: body(
        lambda x: layers.BatchNormalization()(x, training=True)
    ),
    "nested model called in inference mode": lambda: body(
        lambda x: keras.Sequential([layers.BatchNormalization()])(x, training=False)
    ),
    "layer called twice": lambda: body(*[layers.Conv2D(6, 3, padding="same")] * 2),
    "batch normalization called twice": lambda: body(*[layers.BatchNormalization()] * 2),
    "activity regularizer": lambda: body(layers.Conv2D(5, 3, activity_regularizer="l2")),
    "activity regularizer on a rectifier": lambda: body(layers.ReLU(activity_regularizer="l2")),
    "activity regularization layer": lambda: body(layers.ActivityRegularization(l2=0.01)),
    "kernel regularizer": lambda: body(layers.Conv2D(5, 3, kernel_regularizer="l2")),
    "regularizer of batch normalization": lambda: body(
        layers.BatchNormalization(gamma_regularizer="l2")
    ),
    "float64 layer": lambda: body(layers.Conv2D(5, 3, dtype="float64")),
    "bfloat16 layer": lambda: body(layers.Conv2D(5, 3, dtype="bfloat16")),
    "layer of its own": lambda: body(Halved()),
    "two branches": lambda: two_branches(),
    "arithmetic between layers": lambda: body(lambda x: x * 2 + 1),
    "three outputs of one": lambda: body(lambda x: keras.ops.split(x, 3, axis=-1)[1]),
    "integer input": lambda: chain(layers.Flatten(), layers.Dense(NUM_CLASSES), dtype="uint8"),
    "sequential model": lambda: keras.Sequential(
        [keras.Input(IMAGE_SHAPE), layers.Rescaling(0.01), layers.Flatten(), layers.Dense(4)]
    ),
    "unbuilt sequential model": lambda: keras.Sequential(
        [layers.Rescaling(0.01), layers.Flatten(), layers.Dense(4, kernel_initializer="ones")]
    ),
    "step of its own": lambda: OwnStep.of(body()),
    "loss of its own": lambda: OwnLoss.of(body()),
    "functional subclass": lambda: OwnCall.of(body()),
}


class Halved(layers.Layer):
    """A layer with a loss of its own."""

    def call(self, x):
        self.add_loss(keras.ops.mean(x**2))
        return x / 2


class OwnStep(keras.Model):
    """A model whose training step is not Keras's."""

    @classmethod
    def of(cls, model):
        return cls(model.inputs, model.outputs[0])

    def train_step(self, *state_and_data):  # of which jax alone has a state
        *state, data = state_and_data
        return super().train_step(*state, (data[0], keras.ops.zeros_like(data[1])))


class OwnLoss(OwnStep):
    """A model whose loss is not Keras's."""

    train_step = keras.Model.train_step

    def compute_loss(self, *arguments, **settings):
        return 3 * super().compute_loss(*arguments, **settings)


class OwnCall(OwnStep):
    """A model that calls its layers in a way of its own."""

    train_step = keras.Model.train_step

    def call(self, inputs, training=None, mask=None):
        return -super().call(inputs, training=training, mask=mask)


def two_branches():
    image = keras.Input(IMAGE_SHAPE)
    one = layers.Conv2D(4, 3)(image)
    other = layers.Conv2D(4, 3)(image)
    x = layers.Flatten()(layers.Add()([one, other]))
    return keras.Model(image, layers.Dense(NUM_CLASSES)(x))


@pytest.mark.parametrize("name", LOWERED)
def test_fast_step_is_exact_for_every_setting_of_the_layers_it_knows(name):
    assert_same_training(lambda: compile_plain(LOWERED[name]()), takes_fast_step=True)


@pytest.mark.parametrize("name", OTHER)
def test_other_models_train_as_in_stock_keras(name):
    if name == "float64 layer" and BACKEND == "jax":
        pytest.skip("jax has no float64 unless it is told so")

    def build():
        keras.utils.set_random_seed(5)  # noisy layers of both twins draw the same
        return compile_plain(OTHER[name]())

    if name.startswith("unbuilt"):
        model = build()
        assert not use_fast_step(model)
        return
    assert_same_training(build)


OPTIMIZERS = {
    "sgd": lambda: keras.optimizers.SGD(0.05),
    "sgd with momentum": lambda: keras.optimizers.SGD(0.05, momentum=0.9),
    "sgd with nesterov": lambda: keras.optimizers.SGD(0.05, momentum=0.9, nesterov=True),
    "adam": lambda: keras.optimizers.Adam(0.01),
    "adam of other constants": lambda: keras.optimizers.Adam(
        0.01, beta_1=0.5, beta_2=0.9, epsilon=0.01
    ),
    "amsgrad": lambda: keras.optimizers.Adam(0.01, amsgrad=True),
    "adam with weight decay": lambda: keras.optimizers.Adam(0.01, weight_decay=0.1),
    "adamw": lambda: keras.optimizers.AdamW(0.01, weight_decay=0.1),
    "nadam": lambda: keras.optimizers.Nadam(0.01),
    "rmsprop": lambda: keras.optimizers.RMSprop(0.01),
    "clipnorm": lambda: keras.optimizers.Adam(0.01, clipnorm=0.01),
    "clipvalue": lambda: keras.optimizers.SGD(0.1, clipvalue=0.001),
    "global clipnorm": lambda: keras.optimizers.Adam(0.01, global_clipnorm=0.01),
    "moving average": lambda: keras.optimizers.Adam(
        0.01, use_ema=True, ema_momentum=0.5, ema_overwrite_frequency=2
    ),
    "loss scale": lambda: keras.optimizers.SGD(0.05, loss_scale_factor=64.0),
    "loss scale of adam": lambda: keras.optimizers.Adam(0.01, loss_scale_factor=64.0, epsilon=0.1),
    "loss scale optimizer": lambda: keras.optimizers.LossScaleOptimizer(
        keras.optimizers.SGD(0.05), initial_scale=64.0
    ),
    "gradient accumulation": lambda: keras.optimizers.Adam(0.01, gradient_accumulation_steps=2),
    "scheduled sgd": lambda: keras.optimizers.SGD(
        keras.optimizers.schedules.ExponentialDecay(0.1, 1, 0.5)
    ),
    "scheduled adam": lambda: keras.optimizers.Adam(
        keras.optimizers.schedules.ExponentialDecay(0.05, 1, 0.5)
    ),
    "adam of its own": lambda: OwnAdam.of(),
}


class OwnAdam:
    """A stranger's optimizer that bears the name of Keras's."""

    @staticmethod
    def of():
        def update_step(self, gradient, variable, learning_rate):
            self.assign_sub(variable, 0.5 * learning_rate * gradient)

        def build(self, variables):
            keras.optimizers.SGD.build(self, variables)

        bases = (keras.optimizers.SGD,)
        own = type("Adam", bases, {"update_step": update_step, "amsgrad": False})
        return own(0.1)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_optimizer_gives_the_same_weights_and_state(name):
    def build():
        return compile_plain(body(layers.ReLU(), layers.Conv2D(5, 3)), OPTIMIZERS[name]())

    assert_same_training(build)


@pytest.mark.parametrize("name", ["sgd", "adam"])
def test_weight_constraints_hold(name):
    constraint = keras.constraints.UnitNorm((0, 1, 2))

    def build():
        constrained = body(layers.ReLU(), layers.Conv2D(5, 3, kernel_constraint=constraint))
        return compile_plain(constrained, OPTIMIZERS[name]())

    assert_same_training(build)


LOSSES = {
    "sum": {"loss": LOSS(from_logits=True, reduction="sum")},
    "mean": {"loss": LOSS(from_logits=True, reduction="mean")},
    "from probabilities": {"loss": LOSS()},
    "by name": {"loss": "sparse_categorical_crossentropy"},
    "an ignored class": {"loss": LOSS(from_logits=True, ignore_class=1)},
    "a weight": {"loss_weights": 3.0},
    "a list of weights": {"loss_weights": [3.0]},
    "a loss of its own": {"loss": lambda y, p: 2 * keras.ops.mean(p**2, axis=-1)},
    "a subclass": {
        "loss": type("Own", (LOSS,), {"call": lambda self, y, p: p[:, 0] ** 2})(from_logits=True)
    },
    "no metrics": {"metrics": None},
    "two metrics": {"metrics": ["accuracy", "sparse_categorical_crossentropy"]},
    "a metric object": {"metrics": [keras.metrics.SparseCategoricalAccuracy]},
    "a weighted metric": {"weighted_metrics": ["accuracy"]},
    "run eagerly": {"run_eagerly": True},
}


@pytest.mark.parametrize("name", LOSSES)
def test_compile_settings_are_obeyed(name):
    def build():
        settings = dict(LOSSES[name])
        if name == "a metric object":
            settings["metrics"] = [keras.metrics.SparseCategoricalAccuracy()]
        return compile_plain(body(layers.BatchNormalization()), **settings)

    assert_same_training(build)


class Halving(keras.callbacks.Callback):
    """Halves the learning rate after every step."""

    def on_train_batch_end(self, batch, logs=None):
        self.model.optimizer.learning_rate = float(self.model.optimizer.learning_rate) / 2


FITS = {
    "sample weights": lambda labels: {"sample_weight": np.linspace(0, 2, len(labels))},
    "class weights": lambda labels: {"class_weight": {0: 3.0, 1: 0.0, 2: 1.0, 3: 0.5}},
    "weighted validation": lambda labels: {
        "validation_data": (*draw_images(7, seed=9), np.linspace(0, 2, 7))
    },
    "a rate that a callback changes": lambda labels: {"callbacks": [Halving()]},
    "a rate that falls on a plateau": lambda labels: {
        "epochs": 4,
        "callbacks": [
            keras.callbacks.ReduceLROnPlateau(factor=0.1, patience=0, min_delta=9.0, verbose=0)
        ],
    },
    "a last batch of one image": lambda labels: {"batch_size": 23},
    "some steps of an epoch": lambda labels: {"steps_per_epoch": 2, "epochs": 1},
}


@pytest.mark.parametrize("optimizer", ["sgd with momentum", "adam of other constants"])
@pytest.mark.parametrize("name", FITS)
def test_fit_settings_are_obeyed(name, optimizer):
    settings = FITS[name](draw_images()[1])

    def build():
        model = chain(
            layers.Conv2D(6, 3, use_bias=False),
            layers.BatchNormalization(),
            layers.Flatten(),
            layers.Dense(9, use_bias=False),
            layers.BatchNormalization(),
            layers.Dense(NUM_CLASSES),
        )
        return compile_plain(model, OPTIMIZERS[optimizer]())

    assert_same_training(build, settings, takes_fast_step=True)


def test_labels_in_a_column_are_taken_as_by_keras():
    stock, fast, _ = twins(lambda: compile_plain(body()))
    images, labels = draw_images()
    settings = {"validation_data": (images[:5], labels[:5, None])}
    assert_same_numbers(
        fit(stock, images, labels[:, None], **settings),
        fit(fast, images, labels[:, None], **settings),
    )
    assert_same_weights(stock, fast)


@torch_only
def test_labels_that_torch_would_ignore_count_as_in_keras():
    stock, fast, _ = twins(lambda: compile_plain(body()))
    images, labels = draw_images()
    labels[::3] = -100
    assert_same_numbers(fit(stock, images, labels), fit(fast, images, labels))


def test_gray_images_without_a_channel_axis_are_taken_as_by_keras():
    def build():
        model = chain(layers.Conv2D(3, 3), layers.Flatten(), layers.Dense(4), image_shape=(8, 8, 1))
        return compile_plain(model)

    stock, fast, _ = twins(build)
    images, labels = draw_images(shape=(8, 8))
    assert_same_numbers(fit(stock, images, labels), fit(fast, images, labels))


def test_named_inputs_are_taken_as_by_keras():
    def build():
        image = keras.Input(IMAGE_SHAPE, name="picture")
        logits = layers.Dense(NUM_CLASSES)(layers.Flatten()(image))
        return compile_plain(keras.Model({"picture": image}, logits), keras.optimizers.SGD(1e-6))

    stock, fast, _ = twins(build)
    images, labels = draw_images()
    losses = [
        model.fit({"picture": images}, labels, shuffle=False, verbose=0).history["loss"]
        for model in (stock, fast)
    ]
    np.testing.assert_allclose(losses[1], losses[0], **CLOSE)


def test_single_batches_train_and_measure_as_in_keras():
    stock, fast, _ = twins(lambda: compile_plain(body(layers.BatchNormalization())))
    images, labels = draw_images()
    weight = np.linspace(0, 2, len(labels)).astype("float32")
    for model in (stock, fast):
        model.numbers = [
            model.test_on_batch(images, labels),
            model.train_on_batch(images, labels),
            model.train_on_batch(images, labels, sample_weight=weight),
            model.train_on_batch(images, labels, class_weight={0: 2.0, 1: 1.0, 2: 0.0, 3: 1.0}),
            model.evaluate(images, labels, batch_size=7, verbose=0),
            model.evaluate(images, labels, sample_weight=weight, verbose=0),
        ]
    np.testing.assert_allclose(fast.numbers, stock.numbers, **CLOSE)
    assert_same_weights(stock, fast)


def deep():
    return compile_plain(
        chain(
            layers.Conv2D(6, 3, name="conv", use_bias=False),
            layers.BatchNormalization(name="bn"),
            layers.ReLU(),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dense(7, name="fc"),
            layers.ReLU(),
            layers.Dense(NUM_CLASSES, name="logits"),
        ),
        keras.optimizers.Adam(0.01),
    )


@pytest.mark.skipif(BACKEND == "jax", reason="Keras's optimizers refuse it there, see below")
@pytest.mark.parametrize("name", ["conv", "bn", "fc", "logits"])
def test_a_layer_frozen_and_thawed_between_fits_stands_still_meanwhile(name):
    stock, fast, _ = twins(deep)
    images, labels = draw_images()
    for trainable in (True, False, True):
        for model in (stock, fast):
            model.get_layer(name).trainable = trainable
        before = [np.array(weight) for weight in fast.get_layer(name).get_weights()]
        assert_same_numbers(fit(stock, images, labels), fit(fast, images, labels))
        assert_same_weights(stock, fast)
        if BACKEND == "tensorflow":
            continue  # Keras itself trains on what was trainable when it traced its step
        still = all(map(np.array_equal, before, fast.get_layer(name).get_weights()))
        assert still != trainable


@jax_only
def test_a_layer_frozen_after_a_fit_is_refused_on_jax_as_by_stock_keras():
    for model in twins(deep)[:2]:
        fit(model, *draw_images())
        model.get_layer("fc").trainable = False
        with pytest.raises(ValueError, match="corresponding 1:1 to the trainable variables"):
            fit(model, *draw_images())


def test_weights_set_or_loaded_between_fits_are_the_ones_that_train(tmp_path):
    stock, fast, _ = twins(deep)
    images, labels = draw_images()
    other = deep()
    fit(other, *draw_images())
    other.save_weights(tmp_path / "other.weights.h5")
    for model in (stock, fast):
        fit(model, images, labels)
        model.load_weights(tmp_path / "other.weights.h5")
        model.numbers = [fit(model, images, labels)["steps"]]
        model.set_weights([weight / 2 for weight in model.get_weights()])
        model.numbers.append(fit(model, images, labels)["steps"])
    np.testing.assert_allclose(fast.numbers, stock.numbers, **CLOSE)
    assert_same_weights(stock, fast)


def test_compiling_again_takes_the_fast_step_away():
    stock, fast, _ = twins(deep)
    images, labels = draw_images()
    for model in (stock, fast):
        fit(model, images, labels)
        compile_plain(model, loss=LOSS(from_logits=True, reduction="sum"))
        model.numbers = fit(model, images, labels)["loss"]
    np.testing.assert_allclose(fast.numbers, stock.numbers, **CLOSE)


def test_fast_step_may_be_asked_for_twice():
    stock, fast, _ = twins(deep)
    assert use_fast_step(fast)
    images, labels = draw_images()
    weight = np.linspace(0, 2, len(labels))
    settings = {"sample_weight": weight}
    assert_same_numbers(
        fit(stock, images, labels, **settings), fit(fast, images, labels, **settings)
    )


@torch_only
def test_torch_compile_is_not_asked_for_by_the_fast_step():
    stock, fast = deep(), deep()
    fast.set_weights(stock.get_weights())
    fast.jit_compile = True
    assert use_fast_step(fast)
    images, labels = draw_images()
    assert_same_numbers(fit(stock, images, labels), fit(fast, images, labels))


@not_torch
def test_dropout_draws_what_keras_draws():
    assert_same_training(
        lambda: compile_plain(
            body(layers.Flatten(), layers.Dense(20), layers.ReLU(), layers.Dropout(0.35, seed=3))
        ),
        takes_fast_step=True,
    )


@not_torch
@pytest.mark.parametrize(
    "settings",
    [{"jit_compile": BACKEND == "tensorflow"}, {"run_eagerly": True}],
    ids=["other compiler", "eager"],
)
def test_models_run_in_another_way_keep_their_stock_step(settings):
    assert not use_fast_step(compile_plain(body(), **settings))


@tensorflow_only
def test_models_of_several_devices_keep_their_stock_step_on_tensorflow():
    import tensorflow as tf

    with tf.distribute.MirroredStrategy(["cpu:0"]).scope():
        model = compile_plain(body())
    assert not use_fast_step(model)


@not_torch
def test_images_of_another_size_are_refused_by_keras():
    model = compile_plain(
        chain(layers.Conv2D(3, 3), layers.GlobalAveragePooling2D(), layers.Dense(NUM_CLASSES))
    )
    assert use_fast_step(model)
    with pytest.raises(ValueError, match="expected shape"):
        model.train_on_batch(*draw_images(4, (9, 9, 3)))


def test_models_that_cannot_train_have_no_fast_step():
    model = keras.Sequential([keras.Input(IMAGE_SHAPE), layers.Flatten(), layers.Dense(4)])
    assert not use_fast_step(model)  # not compiled
    assert not use_fast_step(compile_plain(keras.Sequential([layers.Dense(4)])))  # not built


@jax_only
@pytest.mark.parametrize("size", [(2, 2), (3, 2), (1, 4)])
def test_gradient_of_max_pooling_on_jax_goes_to_the_first_of_equal_numbers_as_in_keras(size):
    import jax

    from kerascnn.model.chain import lower
    from kerascnn.training.steps.jax import RULES

    layer = layers.MaxPooling2D(size)
    draw = np.random.default_rng(2).integers
    maps = draw(0, 3, (2, 8, 9, 3)).astype("float32")
    answers = [
        jax.vjp(call, maps) for call in (layer, lambda x: lower(layer, RULES)(x, training=True))
    ]
    (one, back), (other, own_back) = answers
    np.testing.assert_array_equal(other, one)
    upstream = draw(1, 9, one.shape).astype("float32")
    np.testing.assert_array_equal(*own_back(upstream), *back(upstream))


@jax_only
def test_options_that_a_release_of_xla_does_not_know_are_left_out(monkeypatch):
    from kerascnn.training.steps import jax as step

    assert step.known_compiler_options() == step.COMPILER_OPTIONS
    monkeypatch.setattr(step, "COMPILER_OPTIONS", {"xla_cpu_that_was_there_once": "1"})
    step.known_compiler_options.cache_clear()
    assert step.known_compiler_options() == {}
    step.known_compiler_options.cache_clear()


RECIPE = load_recipe("adam-lr0.001").with_values(
    {"model.filters": [4, 6, 8], "model.units": 16, "model.dropout": 0.0}
)


def cnn(optimizer, learning_rate, momentum=0.0, seed=0):
    recipe = RECIPE.with_values(
        {
            "train.optimizer": optimizer,
            "train.learning_rate": learning_rate,
            "train.momentum": momentum,
            "train.seed": seed,
        }
    )
    return compile_model(recipe, (16, 16, 3), NUM_CLASSES)


NETWORKS = {
    "sgd": ("sgd", 0.01),
    "sgd with momentum": ("sgd", 0.01, 0.9),
    "adam": ("adam", 0.001),
}


@pytest.mark.parametrize("name", NETWORKS)
def test_thirty_steps_of_the_study_network_are_those_of_stock_keras(name):
    stock, fast, is_fast = twins(lambda: cnn(*NETWORKS[name]))
    assert is_fast
    images, labels = draw_images(100, (16, 16, 3))
    one, other = (fit(model, images, labels, epochs=6, batch_size=20) for model in (stock, fast))
    assert len(one["steps"]) == 30
    # Rounding grows along thirty steps, as it does between any two orders of summation.
    for numbers in one:
        np.testing.assert_allclose(other[numbers], one[numbers], rtol=1e-3, atol=1e-4)
    # A bias before batch normalization has no effect, so its gradient is rounding alone; Adam
    # makes whole steps of that, here up to 30 * 0.001, and the moving mean takes them along.
    free = 0.0 if name.startswith("sgd") else 30 * 0.001 * 2
    variables = zip(
        stock.variables + stock.optimizer.variables,
        fast.variables + fast.optimizer.variables,
        strict=True,
    )
    for variable, twin in variables:
        freely = "conv" in variable.path and "bias" in variable.path
        freely = freely or "moving_mean" in variable.path
        np.testing.assert_allclose(
            keras.ops.convert_to_numpy(twin),
            keras.ops.convert_to_numpy(variable),
            rtol=1e-3,
            atol=5e-4 + free * freely,
            err_msg=variable.path,
        )


def test_first_step_has_the_loss_and_the_gradients_of_stock_keras():
    # SGD at rate 1 without momentum: what a weight lost is its gradient.
    stock, fast, _ = twins(lambda: cnn("sgd", 1.0))
    images, labels = draw_images(20, (16, 16, 3))
    before = [np.array(weight) for weight in stock.get_weights()]
    one, other = (model.train_on_batch(images, labels)[0] for model in (stock, fast))
    assert one == pytest.approx(other, abs=1e-6)
    moved = [np.array(weight) for weight in stock.get_weights()]
    assert sum(np.abs(a - b).max() > 1e-3 for a, b in zip(before, moved, strict=True)) >= 10
    for variable, value, twin in zip(stock.weights, moved, fast.get_weights(), strict=True):
        np.testing.assert_allclose(twin, value, atol=1e-5, err_msg=variable.path)


def lowered_dropout(rate, seed=3):
    from kerascnn.model.chain import lower
    from kerascnn.model.native import RULES

    layer = layers.Dropout(rate, seed=seed)
    layer.build((None, 10))
    return layer, lower(layer, RULES)


@torch_only
@pytest.mark.parametrize("rate", [0.01, 0.35, 0.5, 0.9])
def test_dropout_zeroes_its_share_and_scales_the_rest_with_the_gradient(rate):
    import torch

    _, call = lowered_dropout(rate)
    ones = torch.ones(1001, 999, requires_grad=True)
    dropped = call(ones, training=True)
    share = (dropped == 0).float().mean().item()
    deviation = (rate * (1 - rate) / ones.numel()) ** 0.5
    assert abs(share - rate) < 5 * deviation + 2**-17  # the share is one of 2 ** 16
    kept = dropped[dropped != 0]
    torch.testing.assert_close(kept, torch.full_like(kept, 1 / (1 - rate)), rtol=1e-3, atol=0)
    dropped.sum().backward()
    assert torch.equal(ones.grad, dropped)
    rows = (dropped == 0).float().mean(1)
    assert rows.std().item() == pytest.approx((rate * (1 - rate) / 999) ** 0.5, rel=0.15)


@torch_only
def test_dropout_depends_on_the_state_of_its_layer_alone_and_moves_it_as_keras_does():
    import torch

    (layer, call), (twin, other) = lowered_dropout(0.5), lowered_dropout(0.5)
    ones = torch.ones(20, 30)
    first, second = call(ones, True), call(ones, True)
    assert not torch.equal(first, second)
    twin(ones, training=True)  # by Keras
    assert torch.equal(other(ones, True), second)
    np.testing.assert_array_equal(layer.seed_generator.state, [3, 2])
    np.testing.assert_array_equal(twin.seed_generator.state, [3, 2])
    assert not torch.equal(lowered_dropout(0.5, seed=4)[1](ones, True), first)
    assert call(ones, False) is ones


def test_moving_variance_is_of_the_biased_batch_variance_as_in_keras():
    model = compile_plain(
        chain(
            layers.BatchNormalization(momentum=0.9, name="bn"),
            layers.Flatten(),
            layers.Dense(NUM_CLASSES),
            image_shape=(2, 2, 3),
        )
    )
    assert use_fast_step(model)
    images, labels = draw_images(2, (2, 2, 3))
    model.train_on_batch(images, labels)
    x = images / np.float64(127.5) - 1
    bn = model.get_layer("bn")
    np.testing.assert_allclose(bn.moving_mean.numpy(), 0.1 * x.mean((0, 1, 2)), rtol=1e-5)
    np.testing.assert_allclose(bn.moving_variance.numpy(), 0.9 + 0.1 * x.var((0, 1, 2)), rtol=1e-5)


def test_model_trained_by_the_fast_step_predicts_the_same_once_loaded(tmp_path):
    model = cnn("adam", 0.001)
    assert use_fast_step(model)
    images, labels = draw_images(40, (16, 16, 3))
    fit(model, images, labels)
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(
        loaded.predict(images, verbose=0), model.predict(images, verbose=0)
    )
    np.testing.assert_allclose(
        loaded.evaluate(images, labels, verbose=0),
        model.evaluate(images, labels, verbose=0),
        rtol=1e-5,
    )
    for one, other in zip(model.optimizer.variables, loaded.optimizer.variables, strict=True):
        np.testing.assert_array_equal(one.numpy(), other.numpy())
