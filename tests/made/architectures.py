"""Networks of convolutions as Keras's public examples and guides build them, by their names there.

The layers are those of the examples; pictures and widths are smaller where that changes nothing.
"""

import keras
from keras import layers, ops

from made.own_layers import DepthToSpace, Involution, contrastive_loss, euclidean_distance


def mnist_convnet():
    return keras.Sequential(
        [
            keras.Input((28, 28, 1)),
            layers.Conv2D(32, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Conv2D(64, 3, activation="relu"),
            layers.MaxPooling2D(2),
            layers.Flatten(),
            layers.Dropout(0.5),
            layers.Dense(10, activation="softmax"),
        ]
    )


def image_classification_from_scratch():
    """A small Xception: pictures of cats and dogs, one logit."""
    inputs = keras.Input((90, 90, 3))
    x = layers.Rescaling(1 / 255)(inputs)
    x = _conv(x, 32, strides=2)
    previous = x
    for size in (64, 128, 256):
        for _ in range(2):
            x = layers.Activation("relu")(x)
            x = layers.SeparableConv2D(size, 3, padding="same")(x)
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        x = layers.add([x, layers.Conv2D(size, 1, strides=2, padding="same")(previous)])
        previous = x
    x = layers.SeparableConv2D(512, 3, padding="same")(x)
    x = layers.Activation("relu")(layers.BatchNormalization()(x))
    x = layers.Dropout(0.25)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.Dense(1)(x))


def transfer_learning():
    """Of the guide: a frozen base, called as a layer."""
    base = keras.applications.Xception(weights=None, input_shape=(96, 96, 3), include_top=False)
    base.trainable = False
    inputs = keras.Input((96, 96, 3))
    x = layers.RandomRotation(0.1)(layers.RandomFlip("horizontal")(inputs))
    x = layers.Rescaling(scale=1 / 127.5, offset=-1)(x)
    x = layers.GlobalAveragePooling2D()(base(x, training=False))
    return keras.Model(inputs, layers.Dense(1)(layers.Dropout(0.2)(x)))


def fine_tuning_efficientnet():
    """A base that goes on from tensors of the model."""
    inputs = keras.Input((96, 96, 3))
    x = inputs
    for layer in (
        layers.RandomRotation(0.15),
        layers.RandomTranslation(0.1, 0.1),
        layers.RandomFlip(),
        layers.RandomContrast(0.1),
    ):
        x = layer(x)
    base = keras.applications.EfficientNetB0(include_top=False, input_tensor=x, weights=None)
    x = layers.GlobalAveragePooling2D(name="avg_pool")(base.output)
    x = layers.Dropout(0.2, name="top_dropout")(layers.BatchNormalization()(x))
    return keras.Model(inputs, layers.Dense(120, activation="softmax", name="pred")(x))


def sequential_on_a_base():
    """Of the guide to the Sequential model: a base and its head in a row."""
    base = keras.applications.MobileNetV2(weights=None, input_shape=(96, 96, 3), include_top=False)
    head = [layers.GlobalAveragePooling2D(), layers.Dense(5, activation="softmax")]
    return keras.Sequential([keras.Input((96, 96, 3)), base, *head])


def convmixer():
    inputs = keras.Input((32, 32, 3))
    x = layers.Rescaling(scale=1 / 255)(inputs)
    x = _mixed(layers.Conv2D(128, 2, strides=2)(x))
    for _ in range(8):
        before = x
        x = layers.DepthwiseConv2D(5, padding="same")(x)
        x = layers.Add()([_mixed(x), before])
        x = _mixed(layers.Conv2D(128, 1)(x))
    x = layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def involution():
    """Layers that give two tensors."""
    inputs = keras.Input((32, 32, 3))
    x, _ = Involution(3, 3, name="inv_1")(inputs)
    x = layers.MaxPooling2D(2)(layers.ReLU()(x))
    x, _ = Involution(3, 3, name="inv_2")(x)
    x = layers.MaxPooling2D(2)(layers.ReLU()(x))
    x, _ = Involution(3, 3, name="inv_3")(x)
    x = layers.Dense(64, activation="relu")(layers.Flatten()(layers.ReLU()(x)))
    return keras.Model(inputs, layers.Dense(10)(x))


def semisupervised_simclr():
    """An encoder and a probe, models in a model."""
    augment = keras.Sequential(
        [keras.Input((96, 96, 3)), layers.Rescaling(1 / 255), layers.RandomFlip("horizontal")]
    )
    encoder = keras.Sequential(
        [keras.Input((96, 96, 3))]
        + [layers.Conv2D(64, 3, strides=2, activation="relu") for _ in range(4)]
        + [layers.Flatten(), layers.Dense(128, activation="relu")],
        name="encoder",
    )
    probe = keras.Sequential([keras.Input((128,)), layers.Dense(10)], name="linear_probe")
    inputs = keras.Input((96, 96, 3))
    return keras.Model(inputs, probe(encoder(augment(inputs))))


def siamese_contrastive():
    """Two pictures, one shared network, a distance by a Lambda layer, a loss of its own."""
    image = keras.Input((28, 28, 1))
    x = layers.BatchNormalization()(image)
    for filters in (4, 16):
        x = layers.AveragePooling2D(2)(layers.Conv2D(filters, 5, activation="tanh")(x))
    x = layers.BatchNormalization()(layers.Flatten()(x))
    embedding = keras.Model(image, layers.Dense(10, activation="tanh")(x))
    one, other = keras.Input((28, 28, 1), name="one"), keras.Input((28, 28, 1), name="other")
    distance = layers.Lambda(euclidean_distance, output_shape=(1,))
    x = distance([embedding(one), embedding(other)])
    x = layers.Dense(1, activation="sigmoid")(layers.BatchNormalization()(x))
    model = keras.Model([one, other], x)
    model.compile(loss=contrastive_loss, optimizer="rmsprop")
    return model


def siamese_stock():
    """The same with operations of Keras for the distance."""
    image = keras.Input((28, 28, 3))
    x = layers.MaxPooling2D(2)(layers.Conv2D(8, 3, activation="relu")(image))
    embedding = keras.Model(image, layers.Dense(10)(layers.Flatten()(x)), name="embedding")
    one, other = keras.Input((28, 28, 3), name="one"), keras.Input((28, 28, 3), name="other")
    x = ops.abs(embedding(one) - embedding(other))
    return keras.Model([one, other], layers.Dense(1, activation="sigmoid")(x))


def oxford_pets_segmentation():
    """A U-Net of separable convolutions: a class for each pixel."""
    inputs = keras.Input((64, 64, 3))
    x = _conv(inputs, 32, strides=2)
    previous = x
    for filters in (64, 128, 256):
        for _ in range(2):
            x = layers.SeparableConv2D(filters, 3, padding="same")(layers.Activation("relu")(x))
            x = layers.BatchNormalization()(x)
        x = layers.MaxPooling2D(3, strides=2, padding="same")(x)
        x = layers.add([x, layers.Conv2D(filters, 1, strides=2, padding="same")(previous)])
        previous = x
    for filters in (256, 128, 64, 32):
        for _ in range(2):
            x = layers.Conv2DTranspose(filters, 3, padding="same")(layers.Activation("relu")(x))
            x = layers.BatchNormalization()(x)
        x = layers.UpSampling2D(2)(x)
        residual = layers.Conv2D(filters, 1, padding="same")(layers.UpSampling2D(2)(previous))
        x = previous = layers.add([x, residual])
    return keras.Model(inputs, layers.Conv2D(3, 3, activation="softmax", padding="same")(x))


def deeplabv3_plus():
    """Dilated convolutions on two layers of a ResNet50."""
    inputs = keras.Input((96, 96, 3))
    x = keras.applications.resnet50.preprocess_input(inputs)
    base = keras.applications.ResNet50(weights=None, include_top=False, input_tensor=x)
    x = base.get_layer("conv4_block6_2_relu").output
    side = x.shape[1]
    pooled = layers.AveragePooling2D((side, side))(x)
    pooled = _conv(pooled, 64, 1)
    branches = [layers.UpSampling2D((side, side), interpolation="bilinear")(pooled)]
    branches += [_conv(x, 64, 1)]
    branches += [_conv(x, 64, dilation_rate=rate) for rate in (2, 4, 6)]
    x = _conv(layers.Concatenate(axis=-1)(branches), 64, 1)
    x = layers.UpSampling2D(4, interpolation="bilinear")(x)
    early = _conv(base.get_layer("conv2_block3_2_relu").output, 48, 1)
    x = _conv(layers.Concatenate(axis=-1)([x, early]), 64)
    x = layers.UpSampling2D(4, interpolation="bilinear")(x)
    return keras.Model(inputs, layers.Conv2D(20, 1, padding="same")(x))


def autoencoder():
    inputs = keras.Input((28, 28, 1))
    x = inputs
    for _ in range(2):
        x = layers.Conv2D(32, 3, activation="relu", padding="same")(x)
        x = layers.MaxPooling2D(2, padding="same")(x)
    for _ in range(2):
        x = layers.Conv2DTranspose(32, 3, strides=2, activation="relu", padding="same")(x)
    return keras.Model(inputs, layers.Conv2D(1, 3, activation="sigmoid", padding="same")(x))


def super_resolution_sub_pixel():
    """Pictures of any size, and channels that become pixels."""
    inputs = keras.Input((None, None, 1))
    x = layers.Conv2D(64, 5, activation="relu", padding="same")(inputs)
    x = layers.Conv2D(64, 3, activation="relu", padding="same")(x)
    x = layers.Conv2D(32, 3, activation="relu", padding="same")(x)
    x = layers.Conv2D(9, 3, activation="relu", padding="same")(x)
    return keras.Model(inputs, DepthToSpace(3)(x))


def zero_dce():
    inputs = keras.Input((None, None, 3))
    conv = [layers.Conv2D(16, 3, activation="relu", padding="same") for _ in range(6)]
    one = conv[0](inputs)
    two = conv[1](one)
    three = conv[2](two)
    four = conv[3](three)
    five = conv[4](layers.Concatenate(axis=-1)([four, three]))
    six = conv[5](layers.Concatenate(axis=-1)([five, two]))
    x = layers.Concatenate(axis=-1)([six, one])
    return keras.Model(inputs, layers.Conv2D(24, 3, activation="tanh", padding="same")(x))


def captcha_ocr():
    """Columns of a picture as steps of time."""
    inputs = keras.Input((200, 50, 1), name="image")
    x = layers.Conv2D(32, 3, activation="relu", padding="same", name="Conv1")(inputs)
    x = layers.MaxPooling2D(2, name="pool1")(x)
    x = layers.Conv2D(64, 3, activation="relu", padding="same", name="Conv2")(x)
    x = layers.MaxPooling2D(2, name="pool2")(x)
    x = layers.Reshape((50, 12 * 64), name="reshape")(x)
    x = layers.Dropout(0.2)(layers.Dense(64, activation="relu", name="dense1")(x))
    for units in (128, 64):
        x = layers.Bidirectional(layers.LSTM(units, return_sequences=True, dropout=0.25))(x)
    return keras.Model(inputs, layers.Dense(20, activation="softmax", name="dense2")(x))


def retinanet():
    """A pyramid of features, with heads that are shared by its levels: six outputs."""
    backbone = keras.applications.ResNet50(
        weights=None, include_top=False, input_shape=(128, 128, 3)
    )
    names = ("conv3_block4_out", "conv4_block6_out", "conv5_block3_out")
    levels = [layers.Conv2D(64, 1)(backbone.get_layer(name).output) for name in names]
    for place in (1, 0):
        larger = layers.UpSampling2D(2)(levels[place + 1])
        levels[place] = layers.Add()([levels[place], larger])

    def head(filters, name):
        steps = [keras.Input((None, None, 64))]
        for _ in range(4):
            steps += [layers.Conv2D(64, 3, padding="same"), layers.ReLU()]
        return keras.Sequential([*steps, layers.Conv2D(filters, 3, padding="same")], name=name)

    boxes, classes = head(9 * 4, "boxes"), head(9 * 3, "classes")
    rows = [layers.Reshape((-1, 4))(boxes(level)) for level in levels]
    rows += [layers.Reshape((-1, 3))(classes(level)) for level in levels]
    return keras.Model(backbone.inputs, rows)


def keypoint_detection():
    """Coordinates by separable convolutions on a base."""
    base = keras.applications.MobileNetV2(weights=None, include_top=False, input_shape=(96, 96, 3))
    inputs = keras.Input((96, 96, 3))
    x = keras.applications.mobilenet_v2.preprocess_input(inputs)
    x = layers.Dropout(0.3)(base(x))
    x = layers.SeparableConv2D(48, 2, activation="relu")(x)
    return keras.Model(inputs, layers.SeparableConv2D(48, 2, activation="sigmoid")(x))


def cifar_resnet20():
    """Of `mixup`, `cutmix` and others."""
    inputs = keras.Input((32, 32, 3))
    x = _conv(inputs, 16)
    for stage, filters in enumerate((16, 32, 64)):
        for block in range(3):
            strides = 2 if stage and not block else 1
            y = layers.Conv2D(filters, 3, strides=strides, padding="same", kernel_regularizer="l2")(
                x
            )
            y = layers.Activation("relu")(layers.BatchNormalization()(y))
            y = layers.BatchNormalization()(layers.Conv2D(filters, 3, padding="same")(y))
            x = layers.Conv2D(filters, 1, strides=strides)(x) if strides > 1 else x
            x = layers.Activation("relu")(layers.add([x, y]))
    x = layers.Flatten()(layers.AveragePooling2D(8)(x))
    return keras.Model(inputs, layers.Dense(10, activation="softmax")(x))


def metric_learning():
    """Embeddings of unit length, no classes."""
    inputs = keras.Input((32, 32, 3))
    x = inputs
    for filters in (32, 64, 128):
        x = layers.Conv2D(filters, 3, strides=2, activation="relu")(x)
    x = layers.Dense(8, activation=None)(layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, layers.UnitNormalization()(x))


def _conv(x, filters, size=3, **settings):
    x = layers.Conv2D(filters, size, padding="same", use_bias=False, **settings)(x)
    return layers.Activation("relu")(layers.BatchNormalization()(x))


def _mixed(x):
    return layers.BatchNormalization()(layers.Activation("gelu")(x))
