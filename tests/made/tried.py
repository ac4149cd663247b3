"""Which models are tried, and what is known of each."""

from collections.abc import Callable
from dataclasses import dataclass, field

import keras

from made import architectures, special_models, transformers

# Side of the pictures of an application: the least that it takes, at least 64.
SIDES = {"Xception": 71, "InceptionV3": 75, "InceptionResNetV2": 75}


@dataclass(frozen=True)
class Tried:
    """A model, and what is known of it by its making.

    Attributes:
        build: makes it, with random weights.
        answers: what its only row of numbers is: `softmax`, `logits`, `sigmoid` (of one unit),
            `labels` (a sigmoid each), or `none`.
        custom: whether its code is given, as by --custom.
        constants: what its other inputs are filled with.
        filters_first: whether the filters of maps stand before rows and columns.
        tolerance: of the largest difference, as a share of the largest number.
        refusal: words of the error, where it is to be refused.
        not_on: why it is not tried on a backend.
    """

    build: Callable[[], keras.Model]
    answers: str = "none"
    custom: bool = False
    constants: dict[str, float] = field(default_factory=dict)
    filters_first: bool = False
    tolerance: float = 1e-4
    refusal: str | None = None
    not_on: dict[str, str] = field(default_factory=dict)


HALF = {"tolerance": 5e-2}
CODE = {"custom": True}
CPU = {"tensorflow": "TensorFlow has no such convolution on a CPU"}

EXAMPLES = {
    "mnist_convnet": Tried(architectures.mnist_convnet, "softmax"),
    "image_classification_from_scratch": Tried(
        architectures.image_classification_from_scratch, "logits"
    ),
    "transfer_learning": Tried(architectures.transfer_learning, "logits"),
    "fine_tuning_efficientnet": Tried(architectures.fine_tuning_efficientnet, "softmax"),
    "sequential_on_a_base": Tried(architectures.sequential_on_a_base, "softmax"),
    "vision_transformer": Tried(transformers.vision_transformer, "logits", **CODE),
    "vision_transformer_stock": Tried(transformers.vision_transformer_stock, "softmax"),
    "mlp_mixer": Tried(transformers.mlp_mixer, "logits", **CODE),
    "mlp_mixer_stock": Tried(transformers.mlp_mixer_stock, "softmax"),
    "convmixer": Tried(architectures.convmixer, "softmax"),
    "cct": Tried(transformers.compact_convolutional_transformer, "logits", **CODE),
    "swin_transformer": Tried(transformers.swin_transformer, "softmax", **CODE),
    "eanet": Tried(transformers.external_attention, "softmax", **CODE),
    "involution": Tried(architectures.involution, "logits", **CODE),
    "mobilevit": Tried(transformers.mobilevit, "softmax"),
    "semisupervised_simclr": Tried(architectures.semisupervised_simclr, "logits"),
    "siamese_contrastive": Tried(
        architectures.siamese_contrastive, "sigmoid", constants={"other": 0.0}, **CODE
    ),
    "siamese_stock": Tried(architectures.siamese_stock, "sigmoid", constants={"one": 0.0}),
    "siamese_without_constant": Tried(architectures.siamese_stock, refusal="--constant NAME"),
    "oxford_pets_segmentation": Tried(architectures.oxford_pets_segmentation),
    "deeplabv3_plus": Tried(architectures.deeplabv3_plus),
    "autoencoder": Tried(architectures.autoencoder),
    "super_resolution_sub_pixel": Tried(architectures.super_resolution_sub_pixel, **CODE),
    "zero_dce": Tried(architectures.zero_dce),
    "captcha_ocr": Tried(architectures.captcha_ocr),
    "retinanet": Tried(architectures.retinanet),
    "keypoint_detection": Tried(architectures.keypoint_detection),
    "cifar_resnet20": Tried(architectures.cifar_resnet20, "softmax"),
    "metric_learning": Tried(architectures.metric_learning, "logits"),  # as is said
    "distillation_student": Tried(special_models.distillation_student, "logits"),
    "distiller": Tried(special_models.distiller, refusal="a `call` of its own", **CODE),
    "gan_discriminator": Tried(special_models.gan_discriminator, "sigmoid"),
    "gan_generator": Tried(special_models.gan_generator, refusal="expected pictures"),
    "ct_scans": Tried(special_models.ct_scans, refusal="expected pictures"),
    "mixed_float16": Tried(special_models.mixed_float16, "softmax", **HALF),
    "mixed_bfloat16": Tried(special_models.mixed_bfloat16, "softmax", **HALF),
    "bfloat16": Tried(special_models.bfloat16, "softmax", **HALF),
    "channels_first": Tried(
        special_models.channels_first, "softmax", filters_first=True, not_on=CPU
    ),
    "quantized_int8": Tried(special_models.quantized_int8, "softmax"),
    "multi_label": Tried(special_models.multi_label, "labels"),
    "preprocessing_inside": Tried(special_models.preprocessing_inside, "softmax"),
    "own_loss": Tried(special_models.own_loss, "sigmoid"),
    "lambda_of_no_name": Tried(special_models.lambda_of_no_name, refusal="a Lambda layer"),
    "own_layers_without_code": Tried(transformers.vision_transformer, refusal="--custom FILE.py"),
    "lambda_without_code": Tried(architectures.siamese_contrastive, refusal="--custom FILE.py"),
}


def _application(name: str) -> Tried:
    def build() -> keras.Model:
        side = SIDES.get(name, 64)
        return getattr(keras.applications, name)(weights=None, input_shape=(side, side, 3))

    is_nasnet = name.startswith("NASNet")
    not_on = {"torch": "Keras has no NASNet on torch yet"} if is_nasnet else {}
    return Tried(build, "softmax", not_on=not_on)


APPLICATIONS = {
    name: _application(name) for name in sorted(vars(keras.applications)) if name[0].isupper()
}
