"""Small files of models that Keras would build for minutes, or until the memory is full."""

import json
import zipfile

from made.malice import layer, members_of, save_good, write_archive


def with_model(config, path="slow.keras"):
    """An archive of another configuration, with the weights of a small model."""
    members = members_of(save_good(path)) | {"config.json": json.dumps(config).encode()}
    return write_archive(path, members, zipfile.ZIP_DEFLATED)


def tensor(name, index=0):
    return {
        "class_name": "__keras_tensor__",
        "config": {"shape": [None, 8, 8, 3], "dtype": "float32", "keras_history": [name, index, 0]},
    }


def node(*names):
    return {"args": [tensor(name) for name in names], "kwargs": {}}


def image(name="image", shape=(None, 8, 8, 3)):
    written = layer("InputLayer", batch_shape=list(shape), dtype="float32")
    written["config"]["name"] = name
    return written | {"name": name, "inbound_nodes": []}


def named(written, name, *nodes):
    config = written["config"] | {"name": name}
    return written | {"name": name, "config": config, "inbound_nodes": list(nodes)}


def functional(name, *rows, inputs=("image",), outputs):
    return {
        "module": "keras.src.models.functional",
        "class_name": "Functional",
        "registered_name": "Functional",
        "config": {
            "name": name,
            "trainable": True,
            "layers": list(rows),
            "input_layers": [[each, 0, 0] for each in inputs],
            "output_layers": [[each, 0, 0] for each in outputs],
        },
    }


def relu(name, *nodes):
    return named(layer("ReLU"), name, *nodes)


def sequential(*inner, name="sequential"):
    return layer("Sequential", "keras", layers=list(inner), build_input_shape=[None, 8, 8, 3]) | {
        "name": name
    }


def sequential_of(count):
    rows = [layer("ReLU") | {"config": {"name": f"relu_{number}"}} for number in range(count)]
    start = image()
    return with_model(
        sequential({key: start[key] for key in start if key != "inbound_nodes"}, *rows)
    )


def chain_of(count):
    rows = [relu(f"r{n}", node(f"r{n - 1}" if n else "image")) for n in range(count)]
    return with_model(functional("chain", image(), *rows, outputs=[f"r{count - 1}"]))


def backwards_of(count):
    rows = [relu(f"r{n}", node(f"r{n - 1}" if n else "image")) for n in range(count)]
    return with_model(functional("chain", image(), *rows[::-1], outputs=[f"r{count - 1}"]))


def twice_in_each_other(levels):
    """A model that calls one twice that calls one twice, and so on."""
    model = None
    for level in range(levels):
        inner = model or layer("ReLU")
        row = named(inner, f"inner{level}", node("image"))
        again = {"args": [tensor(f"inner{level}")], "kwargs": {}}
        row["inbound_nodes"].append(again)
        model = functional(f"level{level}", image(), row, outputs=["image"])
        model["config"]["output_layers"] = [[f"inner{level}", 2 if level else 1, 0]]
    return with_model(model)


def in_each_other(levels, kind="Sequential"):
    inner = layer("ReLU")
    for level in range(levels):
        if kind == "Sequential":
            inner = sequential(inner, name=f"s{level}")
            inner["config"]["name"] = f"s{level}"
        else:
            inner = layer(kind, layer=inner)
    return with_model(sequential(inner))


def nested(levels):
    value = ["image"]
    for _ in range(levels):
        value = [value]
    return value


def called_often(count):
    row = relu("relu", *[node("image")] * count)
    return with_model(functional("often", image(), row, outputs=["relu"]))


def many_tensors(count):
    row = named(layer("Add"), "add", {"args": [[tensor("image")] * count], "kwargs": {}})
    return with_model(functional("many", image(), row, outputs=["add"]))


def many_inputs(count):
    names = [f"i{n}" for n in range(count)]
    rows = [image(name) for name in names]
    return with_model(functional("many", *rows, inputs=names, outputs=["i0"]))


def computed(class_name, *args, module="keras.src.ops.numpy", **kwargs):
    row = named(layer(class_name, module), "computed", {"args": list(args), "kwargs": kwargs})
    row["config"] = {"name": "computed"}
    return with_model(functional("computed", image(), row, outputs=["computed"]))


def with_one(written):
    return with_model(
        functional("one", image(), named(written, "one", node("image")), outputs=["one"])
    )


def long_names(count, length):
    conv = layer("BatchNormalization")
    rows = [named(conv, f"b{n}" + "x" * length, node("image")) for n in range(count)]
    model = functional("m" * length, image(), *rows, outputs=[rows[-1]["name"]])
    return with_model(model)


def metric(num_classes):
    return with_one(
        layer("Activation", activation=layer("MeanIoU", "keras.metrics", num_classes=num_classes))
    )


SLOW = {
    "a Sequential of 5,000 layers": lambda: sequential_of(5000),
    "a chain of 11,000 layers": lambda: chain_of(11_000),
    "models twice in each other": lambda: twice_in_each_other(24),
    "Sequentials in each other": lambda: in_each_other(150),
    "levels in each other": lambda: with_model(functional("deep", outputs=nested(300))),
    "a layer that is called 12,000 times": lambda: called_often(12_000),
    "a layer of 100,000 tensors": lambda: many_tensors(100_000),
    "11,000 inputs": lambda: many_inputs(11_000),
    "a range without a tensor": lambda: computed("Arange", 10**10),
    "a full array without a tensor": lambda: computed("Full", [10**5, 10**5], 1.0),
    "a loop without end": lambda: with_one(layer("WhileLoop", "keras.src.ops.core")),
    "a picture of terabytes": lambda: with_model(
        functional("big", image(shape=(None, 10**6, 10**6, 3)), outputs=["image"])
    ),
    "a picture that is enlarged": lambda: with_one(layer("UpSampling2D", size=[10**5, 10**5])),
    "a picture that is padded": lambda: with_one(layer("ZeroPadding2D", padding=10**6)),
    "a picture that is resized": lambda: with_one(layer("Resizing", height=10**5, width=10**5)),
    "long names": lambda: long_names(10, 10**5),
    "a metric of much memory": lambda: metric(10**6),
    "weights of much memory": lambda: with_one(layer("Dense", units=10**9)),
}
