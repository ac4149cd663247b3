"""The graph of a model's layers: which layer is meant, where to cut, and what came before.

Works for any functional or built Sequential model, with others nested in it at any depth, on every
backend. Keras has no public way to walk its graph of calls: what is private to Keras is read in
`call_of`, `graph_of`, `attach` and the few functions that go through the nodes of a graph.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import keras
from keras import layers
from keras.src.models.functional import Function, Functional

from kerascnn.errors import ModelError, did_you_mean

Fact = TypeVar("Fact")

# Of models nested in each other, each used twice by the next, the uses double with each level.
MOST_USES = 100_000
# An error lists the layers of a model up to this number, and else the first few.
MOST_LISTED, FEW_LISTED = 40, 10


class Call(NamedTuple):
    """One use of a layer in a model.

    Attributes:
        operation: the layer, or another operation of Keras.
        inputs: the symbolic tensors among its arguments.
        args, kwargs: all that it was called with.
        outputs: what it gave.
    """

    operation: keras.Operation
    inputs: list[keras.KerasTensor]
    args: tuple
    kwargs: dict[str, object]
    outputs: list[keras.KerasTensor]

    def argument(self, name: str, position: int) -> object:
        """One of its arguments, None where it was not given."""
        return self.args[position] if len(self.args) > position else self.kwargs.get(name)


@dataclass(frozen=True)
class Place:
    """A symbolic tensor, and the uses of nested models in which it lies.

    Attributes:
        within: the first output of each such use, the outermost first.
    """

    tensor: keras.KerasTensor
    within: tuple[keras.KerasTensor, ...] = ()

    @property
    def key(self) -> tuple[int, ...]:
        """Equal for equal places; tensors themselves cannot be compared."""
        return (id(self.tensor), *map(id, self.within))


class Use(NamedTuple):
    """A use of a layer by its name, as `truncate` takes it."""

    name: str
    place: Place


def call_of(output: keras.KerasTensor) -> Call:
    """The call that gave a symbolic tensor."""
    operation, number, _ = output._keras_history
    node = operation._inbound_nodes[number]
    return Call(
        operation, node.input_tensors, node.arguments.args, node.arguments.kwargs, node.outputs
    )


def graph_of(operation: keras.Operation) -> Function | None:
    """The graph that a functional or built Sequential model runs; None for all else."""
    if type(operation).call not in (Function.call, Functional.call, keras.Sequential.call):
        return None  # what has a `call` of its own may do anything
    return operation._functional if isinstance(operation, keras.Sequential) else operation


def kinds(operation: keras.Operation) -> set[str]:
    """Names of Keras's own classes that an operation belongs to, whatever it makes of them."""
    return {
        each.__name__
        for each in type(unwrap(operation)).__mro__
        if each.__module__.startswith("keras.")
    }


def is_stock(operation: keras.Operation) -> bool:
    """Whether an operation does what Keras's class of it does."""
    is_own = type(operation).call.__module__.startswith("keras.")
    return is_own and not isinstance(operation, layers.Lambda)


def unwrap(operation: keras.Operation) -> keras.Operation:
    """The layer in a normalization of a layer's weights, which gives what the layer gives."""
    is_wrapper = isinstance(operation, layers.SpectralNormalization)
    return operation.layer if is_wrapper else operation


# Which layer is meant.


def describe_layers(model: keras.Model) -> list[tuple[str, tuple]]:
    """Name and output shape of every use of a layer, as `truncate` takes it, inputs first.

    Layers of nested models follow the model, with its name and a slash before their own. Their
    shapes are those that the nested model was built with.
    """
    return [(name, tuple(place.tensor.shape)) for name, place in uses_of(model)]


def find_output(model: keras.Model, layer: str) -> keras.KerasTensor:
    """The symbolic output of a layer, computed from a model's own inputs.

    Args and errors: as for `truncate`.
    """
    return _compose(_find(model, layer))


def truncate(model: keras.Model, layer: str) -> keras.Model:
    """The sub-model from the input to a layer; it shares the model's variables.

    Args:
        model: functional or Sequential, built.
        layer: name of a layer. Of a layer that is used several times the last use is meant, or the
            n-th by `name:n`, counted from 1. A layer of a nested model is named by its path, as
            `base/conv1`; its own name is enough where no other layer has it.

    Raises:
        ModelError: if the model has no such layer, several of that name, or no graph to cut.
    """
    return sub_model(model, find_output(model, layer))


def sub_model(
    model: keras.Model, outputs: keras.KerasTensor | list[keras.KerasTensor]
) -> keras.Model:
    """The model from the same inputs to other outputs; it shares the model's variables."""
    inputs = model.inputs
    return keras.Model(inputs[0] if len(inputs) == 1 else inputs, outputs)


def uses_of(model: keras.Model) -> list[Use]:
    """Every use of a layer in a model, nested ones too, in the order of the data.

    Raises:
        ModelError: if the model has no graph, or more than a hundred thousand uses.
    """
    found: list[Use] = []
    for use in _uses(_graph_of_model(model), "", ()):
        found.append(use)
        _check_number(len(found))
    return found


def list_layers(model: keras.Model) -> str:
    """Names and shapes of the layers in one line, the first few of a large model."""
    rows = describe_layers(model)
    shown = rows if len(rows) <= MOST_LISTED else rows[:FEW_LISTED]
    text = ", ".join(f"{name} {shape}" for name, shape in shown)
    return text if len(shown) == len(rows) else f"{text} and {len(rows) - len(shown)} more"


def _find(model: keras.Model, layer: str) -> Place:
    found = _by_path(_graph_of_model(model), layer, ())
    if found:
        return found
    named = [use for use in uses_of(model) if use.name.endswith(f"/{layer}")]
    # Uses of one layer are no different layers.
    if len({id(call_of(use.place.tensor).operation) for use in named}) == 1:
        return named[-1].place
    if named:
        names = ", ".join(use.name for use in named[:FEW_LISTED])
        raise ModelError(f"Several layers are named '{layer}'; name one by its path: {names}.")
    near = did_you_mean(layer, [use.name for use in uses_of(model)])
    raise ModelError(
        f"The model has no layer '{layer}'. Its layers are: {list_layers(model)}.{near}"
    )


def _by_path(graph: Function, path: str, within: tuple) -> Place | None:
    """What a path names; a layer whose own name holds a slash or colon goes first."""
    outputs = _outputs_by_name(graph)
    if path in outputs:
        return Place(outputs[path], within)
    for name, output in outputs.items():
        inner = graph_of(call_of(output).operation)
        if inner and path.startswith(f"{name}/"):
            found = _by_path(inner, path.removeprefix(f"{name}/"), (*within, output))
            if found:
                return found
    return None


def _outputs_by_name(graph: Function) -> dict[str, keras.KerasTensor]:
    """The first output of each use, by `name:n`, and of the last use also by `name`."""
    named = {}
    for operation, nodes in _nodes_by_operation(graph).items():
        for number, node in enumerate(nodes, start=1):
            named[f"{operation.name}:{number}"] = node.outputs[0]
    named |= {
        operation.name: nodes[-1].outputs[0]
        for operation, nodes in _nodes_by_operation(graph).items()
    }
    return named


def _uses(graph: Function, prefix: str, within: tuple) -> Iterator[Use]:
    numbers = {
        id(node): f":{number}"
        for nodes in _nodes_by_operation(graph).values()
        for number, node in enumerate(nodes, start=1)
        if len(nodes) > 1
    }
    for node in _nodes(graph):
        name = f"{prefix}{node.operation.name}{numbers.get(id(node), '')}"
        output = node.outputs[0]
        yield Use(name, Place(output, within))
        if inner := graph_of(node.operation):
            yield from _uses(inner, f"{name}/", (*within, output))


def _nodes(graph: Function) -> list:
    """The calls in a graph, none before what it needs."""
    by_depth = graph._nodes_by_depth
    return [node for depth in sorted(by_depth, reverse=True) for node in by_depth[depth]]


def _nodes_by_operation(graph: Function) -> dict[keras.Operation, list]:
    """The calls of each layer in a graph, in the order in which they were made."""
    # A layer may be used by other models too; those uses are other nodes.
    own = {id(node) for node in _nodes(graph)}
    return {
        operation: [node for node in operation._inbound_nodes if id(node) in own]
        for operation in graph.operations
    }


def _graph_of_model(model: keras.Model) -> Function:
    graph = graph_of(model)
    if graph is None:
        raise ModelError(
            "The model has no graph of layers to cut: it must be functional, or a built "
            "Sequential, of a class without a `call` of its own."
        )
    return graph


def _check_number(uses: int) -> None:
    if uses > MOST_USES:
        raise ModelError(f"The model uses its layers more than {MOST_USES:,} times.")


# Where to cut.


def attach(operation: keras.Operation, *args: object, **kwargs: object) -> keras.KerasTensor:
    """Call something of our own on a model's symbolic tensors, and leave no trace in the model."""
    output = operation(*args, **kwargs)
    node = operation._inbound_nodes[-1]
    for tensor in node.input_tensors:
        tensor._keras_history.operation._outbound_nodes.remove(node)
    return output


def fresh_name(stem: str) -> str:
    """A name that no layer of any model has: Keras refuses two of one name in a model."""
    return f"{stem}_{uuid.uuid4().hex}"


def _compose(place: Place) -> keras.KerasTensor:
    """The same numbers as an output of the outermost model.

    A nested model is not called again, which its layers would remember. A new sub-model of it, with
    the same layers, is called as it was. What a nested model takes is what was given to it: a model
    that gave its own input back would make Keras forget where that comes from.
    """
    while outside := _outside(place):
        place = outside
    tensor = place.tensor
    for output in reversed(place.within):
        call = call_of(output)
        graph = graph_of(call.operation)
        inner = keras.Model(graph._inputs_struct, tensor, name=fresh_name(graph.name))
        tensor = attach(inner, *call.args, **call.kwargs)
    return tensor


# What came before.


def follow(
    outputs: list[keras.KerasTensor], rule: Callable[[Call, keras.KerasTensor, list[Fact]], Fact]
) -> Fact:
    """What is known of the last of some symbolic tensors, by a rule that says it for each layer.

    Args:
        rule: takes a call, the output of it that is asked for, and what is known of its inputs, in
            their order. Nested models are looked through.
    """
    known: dict[tuple, Fact] = {}
    for place, before in upstream(outputs):
        facts = [known[each.key] for each in before]
        known[place.key] = rule(call_of(place.tensor), place.tensor, facts)
    return known[place.key]


def upstream(outputs: list[keras.KerasTensor]) -> Iterator[tuple[Place, list[Place]]]:
    """All that some tensors are computed from and they themselves, each after what it needs.

    Yields:
        A place where a layer gives its output, nested models being looked through, and the places
        of the layer's inputs.
    """
    done: set[tuple] = set()
    for output in outputs:
        waiting = [_look_through(Place(output))]
        while waiting:
            place = waiting[-1]
            before = [] if place.key in done else _before(place)
            missing = [each for each in before if each.key not in done]
            waiting += missing[::-1]
            if missing:
                continue
            waiting.pop()
            if place.key not in done:
                done.add(place.key)
                _check_number(len(done))
                yield place, before


def _before(place: Place) -> list[Place]:
    inputs = call_of(place.tensor).inputs
    return [_look_through(Place(each, place.within)) for each in inputs]


def _look_through(place: Place) -> Place:
    """The same numbers where a layer gives them: at a model's output inside, at its input outside.

    What is given to a nested model as an array stays at the model's input.
    """
    while True:
        if outside := _outside(place):
            place = outside
            continue
        call = call_of(place.tensor)
        graph = graph_of(call.operation)
        if not graph:
            return place
        inner = graph.outputs[place.tensor._keras_history.tensor_index]
        place = Place(inner, (*place.within, call.outputs[0]))


def _outside(place: Place) -> Place | None:
    """Of a nested model's input, what the model was called with; None for all else."""
    if not place.within:
        return None
    call = call_of(place.within[-1])
    graph = graph_of(call.operation)
    number = next((n for n, each in enumerate(graph.inputs) if each is place.tensor), None)
    if number is None:
        return None
    given = call.argument("inputs", 0)
    if isinstance(given, dict) and not isinstance(graph._inputs_struct, dict):
        given = given[place.tensor.name]
    else:
        given = keras.tree.flatten(given)[number]
    return Place(given, place.within[:-1]) if isinstance(given, keras.KerasTensor) else None
