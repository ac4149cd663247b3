"""A profile of a real run on torch, and how its events are told apart."""

import keras
import pytest

from kerascnn.bench.images import Sizes
from kerascnn.bench.order import Order
from kerascnn.bench.process import PeerProcess
from kerascnn.recipe import load_recipe
from kerascnn.records.bench import KINDS, Profile

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.skipif(keras.config.backend() != "torch", reason="a profile is for torch")


class Event:
    """What torch's profile tells of a call."""

    device_type = torch.autograd.DeviceType.CPU

    def __init__(self, name, own, *children, parent=None):
        self.name, self.self_cpu_time_total = name, own
        self.cpu_children, self.cpu_parent = children, parent
        for child in children:
            child.cpu_parent = self

    def all(self):
        return [self, *(event for child in self.cpu_children for event in child.all())]


def test_a_call_is_of_the_kind_that_it_is_called_for():
    from kerascnn.bench.profile import by_kind

    calls = [
        # The time of a layer's own Python is not its kernels'.
        Event("convolutions", 100, Event("aten::conv2d", 1, Event("aten::mkldnn", 20))),
        # numpy's time is seen as that of the name itself.
        Event("augmentation", 30, Event("aten::mul", 4), Event("aten::conv2d", 1)),
        Event("autograd::engine::evaluate_function: AddmmBackward0", 2, Event("aten::mm", 6)),
        Event("autograd::engine::evaluate_function: NativeBatchNormBackward0", 3),
        Event("aten::log_softmax", 1000),
    ]
    events = [event for call in calls for event in call.all()]
    assert by_kind(events) == dict.fromkeys(KINDS, 0.0) | {
        "convolutions": 21, "augmentation": 35, "dense": 8, "normalization": 3,
    }  # fmt: skip


def test_what_is_left_of_a_step_is_keras_and_python():
    profile = Profile.of(10, 8.0, {"convolutions": 4.0, "dense": 2.0})
    rows = {kind.name: (kind.ms, kind.share) for kind in profile.kinds}
    rest = "loss, Keras and Python (the rest)"
    assert rows == {"convolutions": (4.0, 0.5), "dense": (2.0, 0.25), rest: (2.0, 0.25)}


def test_each_kind_of_work_takes_some_of_a_real_step(tmp_path):
    recipe = load_recipe("adam-lr0.001").with_values({"data.dataset": "shapes"})
    order = Order(recipe, Sizes(800, 60), 1, 1, str(tmp_path))
    with PeerProcess("profile", 1) as process:
        process.ask(order.to_line())
        process.ask("epoch")
        told = process.ask("profile")
    assert told["steps"] == 20
    assert set(told["ms"]) == set(KINDS)
    assert all(ms > 0 for ms in told["ms"].values())
    assert max(told["ms"], key=told["ms"].get) == "convolutions"
    assert sum(told["ms"].values()) < 5 * told["step_ms"]
