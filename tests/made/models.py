"""Models of any shape, with what is known of each of their layers."""

from collections import defaultdict
from dataclasses import dataclass, field

import keras
import numpy as np
from hypothesis import strategies as st
from keras import layers, ops

from kerascnn.model.graph import call_of

SHAPE = (6, 8, 3)
POLICIES = ("float32", "mixed_bfloat16", "mixed_float16", "bfloat16")
CONVOLUTIONS = {
    "plain": lambda **options: layers.Conv2D(4, 3, **options),
    "depthwise": lambda **options: layers.DepthwiseConv2D(3, **options),
    "separable": lambda **options: layers.SeparableConv2D(4, 3, **options),
    "transposed": lambda **options: layers.Conv2DTranspose(4, 3, **options),
}
ACTIVATIONS = ("relu", "silu", "elu", "tanh", "softplus")


@dataclass(frozen=True)
class Block:
    """A convolution, and what stands around it."""

    convolution: str
    data_format: str
    moved_by: str
    normalized: bool
    activation: str
    activated_by: str
    pooled: bool
    joined_by: str
    nested: str
    uses: int


@dataclass(frozen=True)
class Head:
    """The end of a classifier."""

    units: int
    activation: str
    activated_by: str
    behind: str


@dataclass(frozen=True)
class Recipe:
    policy: str
    blocks: list[Block]
    heads: list[Head]


BLOCKS = st.builds(
    Block,
    convolution=st.sampled_from(sorted(CONVOLUTIONS)),
    data_format=st.sampled_from(("channels_last", "channels_first")),
    moved_by=st.sampled_from(("permute", "transpose", "moveaxis")),
    normalized=st.booleans(),
    activation=st.sampled_from(ACTIVATIONS),
    activated_by=st.sampled_from(("layer", "argument", "operation", "nothing")),
    pooled=st.booleans(),
    joined_by=st.sampled_from(("nothing", "nothing", "add", "concatenate", "multiply")),
    nested=st.sampled_from(("no", "functional", "sequential", "twice nested")),
    uses=st.sampled_from((1, 1, 2)),
)
HEADS = st.builds(
    Head,
    units=st.sampled_from((2, 3)),
    activation=st.sampled_from(("softmax", "sigmoid", "linear")),
    activated_by=st.sampled_from(("layer", "argument", "operation")),
    behind=st.sampled_from(("nothing", "dropout", "identity", "reshape", "cast")),
)
RECIPES = st.builds(
    Recipe,
    policy=st.sampled_from(POLICIES),
    blocks=st.lists(BLOCKS, min_size=1, max_size=3),
    heads=st.lists(HEADS, min_size=1, max_size=2),
)


@dataclass(frozen=True)
class Known:
    """A use of a layer: its name, its values in float64, channels last, and the layer."""

    name: str
    values: np.ndarray
    call: object


@dataclass(frozen=True)
class Made:
    """A model, and what is known of it by its making.

    Attributes:
        uses: of its layers, in the order of their calls.
        final_activations: of its outputs.
    """

    model: keras.Model
    uses: list[Known]
    final_activations: list[str]


def make(recipe: Recipe, images: np.ndarray) -> Made:
    """A model, and a recount of it: its layers called one by one on values."""
    keras.config.set_dtype_policy(recipe.policy)
    try:
        steps, heads = _steps_of(recipe)
        image = keras.Input(SHAPE)
        symbolic, outputs = _run(steps, heads, Flow(image))
        model = keras.Model(image, outputs)
        _draw_normalizations(model)
        values, _ = _run(steps, heads, Flow(ops.convert_to_tensor(images)))
    finally:
        keras.config.set_dtype_policy("float32")
    uses = list(_name(symbolic, values, ""))
    return Made(model, uses, [head.activation for head in recipe.heads])


# The way of a tensor through the steps of a model. A note is made of each call: what it gave, what
# was called, and the notes of what lies inside.


@dataclass(frozen=True)
class Flow:
    """A tensor, symbolic or of values, and the axis of its filters."""

    tensor: object
    axis: int = 3

    @property
    def is_symbolic(self) -> bool:
        return isinstance(self.tensor, keras.KerasTensor)


@dataclass(frozen=True)
class Step:
    """A call, and where it puts the axis of filters: where it was if None."""

    call: object
    axis: int | None = None

    def run(self, flow, notes):
        axis = flow.axis if self.axis is None else self.axis
        result = Flow(self.call(flow.tensor), axis)
        notes.append((result, self.call, []))
        return result


@dataclass(frozen=True)
class Join:
    """A longer way beside the direct one, and what joins them."""

    steps: list
    call: object

    def run(self, flow, notes):
        other = _run_steps(self.steps, flow, notes)
        result = Flow(self.call([flow.tensor, other.tensor]), flow.axis)
        notes.append((result, self.call, []))
        return result


@dataclass
class Nest:
    """Steps as a model: called as one if symbolic, else gone through one by one."""

    steps: list
    sequential: bool
    model: keras.Model = None
    notes: list = field(default_factory=list)
    axis: int = 3

    def run(self, flow, notes):
        if not flow.is_symbolic:
            inner = []
            result = _run_steps(self.steps, flow, inner)
            notes.append((result, self, inner))
            return result
        if self.model is None:
            self._build(flow)
        result = Flow(self.model(flow.tensor), self.axis)
        notes.append((result, self, self.notes))
        return result

    def _build(self, flow):
        image = keras.Input(flow.tensor.shape[1:], dtype=flow.tensor.dtype)
        if self.sequential:
            self.model = keras.Sequential([image, *(step.call for step in self.steps)])
            flow = Flow(image, flow.axis)
            for step in self.steps:
                flow = Flow(step.call.output, flow.axis if step.axis is None else step.axis)
                self.notes.append((flow, step.call, []))
        else:
            flow = _run_steps(self.steps, Flow(image, flow.axis), self.notes)
            self.model = keras.Model(image, flow.tensor)
        self.axis = flow.axis


def _run_steps(steps, flow, notes):
    for step in steps:
        flow = step.run(flow, notes)
    return flow


def _run(steps, heads, flow):
    notes = []
    flow = _run_steps(steps, flow, notes)
    return notes, [_run_steps(head, flow, notes).tensor for head in heads]


def _name(symbolic, values, prefix):
    """What is known of each use, by two runs of the same steps."""
    names = [call_of(flow.tensor).operation.name for flow, _, _ in symbolic]
    counted = defaultdict(int)
    for name, (_, call, inner), (flow, _, inside) in zip(names, symbolic, values, strict=True):
        counted[name] += 1
        number = f":{counted[name]}" if names.count(name) > 1 else ""
        array = ops.convert_to_numpy(flow.tensor).astype("float64")
        array = array[:, None, None] if array.ndim == 2 else np.moveaxis(array, flow.axis, -1)
        yield Known(f"{prefix}{name}{number}", array, call)
        yield from _name(inner, inside, f"{prefix}{name}{number}/")


# The steps of a recipe.


def _steps_of(recipe):
    steps, axis, channels = [], 3, SHAPE[-1]
    for block in recipe.blocks:
        new, after = _steps_of_block(block, axis, channels)
        keeps = (axis, channels) == after and not block.pooled
        steps += _nested(block, new) * (block.uses if keeps else 1)
        axis, channels = after
    return steps, [_steps_of_head(head) for head in recipe.heads]


def _steps_of_block(block, axis, channels):
    # TensorFlow's layers, called one by one on a CPU, have no other.
    can = keras.backend.backend() != "tensorflow"
    data_format = block.data_format if can else "channels_last"
    own = 1 if data_format == "channels_first" else 3
    steps = [] if own == axis else [Step(_move(block.moved_by, axis, own), own)]
    activation = block.activation if block.activated_by == "argument" else None
    options = {"padding": "same", "data_format": data_format, "activation": activation}
    steps.append(Step(CONVOLUTIONS[block.convolution](**options), own))
    channels = channels if block.convolution == "depthwise" else 4
    if block.normalized:
        steps.append(Step(layers.BatchNormalization(axis=own)))
    if block.activated_by == "layer":
        steps.append(Step(layers.Activation(block.activation)))
    if block.activated_by == "operation":
        steps.append(Step(getattr(ops, block.activation)))
    if block.joined_by != "nothing":
        way = [Step(ops.tanh), Step(layers.Conv2D(channels, 1, data_format=data_format))]
        steps.append(Join(way, _joining(block.joined_by, own)))
        channels *= 2 if block.joined_by == "concatenate" else 1
    if block.pooled:
        steps.append(Step(layers.MaxPooling2D(padding="same", data_format=data_format)))
    return steps, (own, channels)


def _nested(block, steps):
    if block.nested == "no":
        return steps
    is_plain = all(isinstance(getattr(step, "call", None), layers.Layer) for step in steps)
    is_plain = is_plain and not any(isinstance(step, Join) for step in steps)
    nest = Nest(steps, block.nested == "sequential" and is_plain)
    return [Nest([nest], False) if block.nested == "twice nested" else nest]


def _move(moved_by, axis, own):
    order = [each for each in range(4) if each != axis]
    order.insert(own, axis)
    if moved_by == "permute":
        return layers.Permute(order[1:])
    if moved_by == "transpose":
        return lambda x: ops.transpose(x, order)
    return lambda x: ops.moveaxis(x, axis, own)


def _joining(joined_by, axis):
    if joined_by == "concatenate":
        return layers.Concatenate(axis=axis)
    return layers.Add() if joined_by == "add" else lambda pair: ops.multiply(*pair)


def _steps_of_head(head):
    argument = head.activation if head.activated_by == "argument" else None
    steps = [Step(layers.Flatten(), 1), Step(layers.Dense(head.units, argument))]
    if head.activated_by == "layer":
        steps.append(Step(layers.Activation(head.activation)))
    elif head.activated_by == "operation" and head.activation != "linear":
        steps.append(Step(getattr(ops, head.activation)))
    behind = {
        "dropout": layers.Dropout(0.5),
        "identity": layers.Identity(),
        "reshape": layers.Reshape((head.units,)),
        "cast": lambda x: ops.cast(x, "float32"),
    }
    return [*steps, *([Step(behind[head.behind])] if head.behind in behind else [])]


def _draw_normalizations(model):
    generator = np.random.default_rng(0)
    for weight in model.weights:
        name = weight.path.rpartition("/")[2]
        if name in ("gamma", "beta", "moving_mean", "moving_variance"):
            low = 0.2 if name == "moving_variance" else -1
            weight.assign(generator.uniform(low, 1, weight.shape))
