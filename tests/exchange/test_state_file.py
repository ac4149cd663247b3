"""Files of torch.save, also hostile ones: dense real numbers come in, all else is refused."""

import contextlib
import io
import warnings
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch

from kerascnn.errors import ExchangeError
from kerascnn.exchange import convert
from kerascnn.exchange.state_file import load_state
from kerascnn.exchange.weights import assign_state, state_of
from kerascnn.model.build import build_model
from kerascnn.recipe import load_recipe
from kerascnn.run import Run

SMALL = load_recipe("adam-lr0.001").with_values(
    {"data.dataset": "shapes", "model.filters": [4], "model.pool_after": [1], "model.units": 16}
)
DTYPES = sorted(
    {dtype for dtype in vars(torch).values() if isinstance(dtype, torch.dtype)}, key=str
)
EXACT = ("float16", "bfloat16", "float32", "float64", "float8_e4m3fn", "float8_e5m2")


@pytest.fixture(scope="module")
def model():
    return build_model(SMALL, (32, 32, 3), 10)


@pytest.fixture(scope="module")
def state(model):
    """Numbers that every kind of float holds."""
    return {
        name: torch.randint(1, 5, tensor.shape).float() / 4
        for name, tensor in state_of(model).items()
    }


def save(state, name="weights.pt"):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch warns of sparse tensors
        torch.save(state, name)
    return Path(name)


def refusal(state) -> str:
    with pytest.raises(ExchangeError) as caught:
        convert(save(state), SMALL)
    assert not Path("runs").exists()
    assert "\n" not in str(caught.value)
    return str(caught.value)


def assert_exact(model, state, expected):
    assert assign_state(model, load_state(save(state)), Path("weights.pt")) == 0
    for name, tensor in state_of(model).items():
        torch.testing.assert_close(tensor, expected[name], rtol=0, atol=0)


def as_type(tensor, dtype):
    """The tensor in a type, or some tensor of it; None where torch makes or saves none."""
    try:
        made = tensor.to(dtype)
    except (RuntimeError, NotImplementedError):
        made = torch.ones(tensor.shape, dtype=torch.uint8).view(dtype)
    try:
        torch.save(made, io.BytesIO())
    except (RuntimeError, KeyError, AttributeError):
        return None
    return made


@pytest.mark.filterwarnings("ignore")  # torch warns of its newest types
def test_of_all_types_the_floats_come_in_exactly_and_the_others_not(model, state):
    saved = {str(dtype)[6:]: as_type(state["fc1.weight"], dtype) for dtype in DTYPES}
    assert sum(tensor is not None for tensor in saved.values()) > 20
    for name, tensor in saved.items():
        changed = {**state, "fc1.weight": tensor}
        if name in EXACT:
            assert_exact(model, changed, state)
        elif tensor is not None and "fnuz" not in name:
            said = refusal(changed)
            assert f"({name}); exp" in said or f"of type {name}; exp" in said or "cannot" in said


def test_imaginary_parts_are_not_dropped(state):
    said = refusal({name: tensor + 100j for name, tensor in state.items()})
    assert "is of type complex64; expected a dense tensor of real floating-point numbers" in said


def in_quarters(tensor):
    return torch.quantize_per_tensor(tensor, 0.25, 0, torch.qint8)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("change", "called"),
    [
        (torch.Tensor.to_sparse, "of layout sparse_coo"),
        (torch.Tensor.to_sparse_csr, "of layout sparse_csr"),
        (torch.Tensor.to_sparse_csc, "of layout sparse_csc"),
        (lambda tensor: tensor.to_sparse_bsr((1, 1)), "of layout sparse_bsr"),
        (torch.Tensor.to_mkldnn, "of layout mkldnn"),
        (in_quarters, "quantized (qint8)"),
        (lambda tensor: tensor.to("meta"), "without numbers (on the device meta)"),
        (lambda tensor: torch.nested.nested_tensor([tensor[0], tensor[1]]), "nested"),
        (lambda tensor: torch.nn.UninitializedParameter(), "of type UninitializedParameter"),
        (lambda tensor: tensor.int(), "of type int32"),
        (lambda tensor: tensor.bool(), "of type bool"),
        (lambda tensor: tensor.conj_physical().cfloat().conj(), "of type complex64"),
    ],
)
def test_what_is_not_dense_is_refused_by_its_kind(state, change, called):
    try:
        changed = change(state["fc1.weight"])
        save({"x": changed})
    except (RuntimeError, AttributeError, NotImplementedError) as error:
        pytest.skip(f"torch saves none: {error}")
    said = refusal({**state, "fc1.weight": changed})
    assert f"'fc1.weight' of 'weights.pt' is {called}; expected" in said or (
        "torch cannot read it" in said or "could run code" in said
    )


@pytest.mark.parametrize(
    "change",
    [
        torch.nn.Parameter,
        lambda tensor: torch.nn.Parameter(tensor).detach(),
        lambda tensor: (tensor * -1j).conj().imag,  # kept as what is to be negated
        lambda tensor: tensor.mT.contiguous().mT,
        lambda tensor: torch.stack([tensor, tensor])[1],
        torch.nn.Buffer,
    ],
)
def test_a_dense_tensor_is_exact_however_it_lies(model, state, change):
    changed = {name: change(t) if t.ndim > 1 else t for name, t in state.items()}
    assert_exact(model, changed, state)


def test_the_state_with_variables_is_taken(model, state):
    network = torch.nn.Linear(3, 2)
    assert load_state(save(network.state_dict(keep_vars=True)))["weight"].shape == (2, 3)
    assert_exact(model, {name: torch.nn.Parameter(t) for name, t in state.items()}, state)


def test_one_number_for_a_whole_tensor_is_that_number(model, state):
    weight = state["fc1.weight"]
    repeated = torch.tensor(0.5).expand(weight.shape)
    assert_exact(
        model,
        {**state, "fc1.weight": repeated},
        {**state, "fc1.weight": torch.full(weight.shape, 0.5)},
    )


def test_a_tensor_that_claims_terabytes_is_refused_by_its_shape(state):
    said = refusal({**state, "fc1.weight": torch.tensor(0.5).expand(10**7, 10**7)})
    assert "'fc1.weight' of 'weights.pt' has shape 10000000x10000000" in said


def test_float64_is_rounded_and_that_is_said(state, invoke):
    exact = {name: tensor.double() for name, tensor in state.items()}
    save({**exact, "fc1.weight": exact["fc1.weight"] + 1e-12, "fc1.bias": exact["fc1.bias"] / 3})
    arguments = ("--dataset", "shapes", "--set", "model.filters=[4]", "--set", "model.units=16")
    arguments += ("--set", "model.pool_after=[1]")
    status, path, said = invoke(
        "convert", "weights.pt", *arguments, "--set", "model.pool_after=[1]"
    )
    assert status == 0
    assert "The float64 numbers of 2 tensors were rounded to float32." in said
    assert Run(path.strip()).read_environment().converted_from.num_rounded == 2
    save(exact)
    *_, said = invoke("convert", "weights.pt", *arguments)
    assert "rounded" not in said


def test_numbers_beyond_float32_are_refused(state):
    said = refusal({**state, "fc1.bias": torch.full((16,), 1e300, dtype=torch.float64)})
    assert "'fc1.bias' of 'weights.pt' holds numbers that are not finite in float32" in said


def test_names_are_short_and_visible_and_few_in_errors(state):
    said = refusal({**state, "\x1b[2J" + "x" * 10**6 + ".weight": torch.zeros(2, 2, 2)})
    assert len(said) < 300
    assert "\x1b" not in said
    assert len(refusal({f"{n}.weight": torch.zeros(2, 2) for n in range(5000)})) < 300
    assert len(refusal({f"a.{n}": torch.zeros(2, 2) for n in range(5000)})) < 500
    assert "has a name of type int; expected" in refusal({3: torch.zeros(2)})


def test_a_tuple_of_tuples_of_tuples_for_a_name_is_not_unfolded(state):
    doubled = b")q\x01" + b"h\x01h\x01\x86q\x01" * 60
    evil = b"\x80\x02}q\x00" + doubled + b"h\x00h\x01K\x01s."
    save(state)
    with zipfile.ZipFile("weights.pt") as old, zipfile.ZipFile("evil.pt", "w") as new:
        for member in old.infolist():
            pickled = member.filename.endswith("data.pkl")
            new.writestr(member.filename, evil if pickled else old.read(member))
    with pytest.raises(ExchangeError, match="tuples would unfold to more than 10,000,000 parts"):
        load_state(Path("evil.pt"))
    torch.save(state, "old.pt", _use_new_zipfile_serialization=False)
    load_state(Path("old.pt"))
    whole = Path("old.pt").read_bytes()
    place = whole.index(b"\x80\x02}q\x00(X")  # system, then what is saved
    Path("old.pt").write_bytes(whole[:place] + evil + evil)
    with pytest.raises(ExchangeError, match="tuples would unfold"):
        load_state(Path("old.pt"))


def test_damaged_files_are_refused_or_read(state):
    """Any byte may be another, in either way of storing."""
    generator = np.random.default_rng(0)
    for new in (True, False):
        file = io.BytesIO()
        torch.save(state, file, _use_new_zipfile_serialization=new)
        whole = np.frombuffer(file.getvalue(), "uint8")
        for _ in range(40):
            changed = whole.copy()
            changed[generator.integers(0, min(len(whole), 3000), 3)] = generator.integers(0, 256, 3)
            Path("damaged.pt").write_bytes(
                changed[: generator.integers(1, 2 * len(whole))].tobytes()
            )
            with contextlib.suppress(ExchangeError):
                load_state(Path("damaged.pt"))
