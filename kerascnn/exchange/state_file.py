"""A file that `torch.save` wrote: its tensors, without running code of it or reading for ever."""

import pickletools
import zipfile
from pathlib import Path
from typing import BinaryIO

import torch

from kerascnn.errors import ExchangeError
from kerascnn.regular_files import ARRAY_BYTES, open_regular
from kerascnn.zips import check_sizes, quote

# Where a checkpoint keeps the state_dict.
CHECKPOINT_KEYS = ("state_dict", "model_state_dict", "model")
# Numbers that float32 holds exactly, and float64, which is rounded.
DTYPES = {
    torch.float16, torch.bfloat16, torch.float32, torch.float64,
    torch.float8_e4m3fn, torch.float8_e4m3fnuz, torch.float8_e5m2, torch.float8_e5m2fnuz,
}  # fmt: skip
# What names and shapes of 20,000 tensors take; the numbers lie in files of their own.
MOST_PICKLED_BYTES = 2**22
# So many parts may the tuples of a file have, all told.
MOST_PARTS = 10_000_000
# How many pickles stand at the start of a file of before PyTorch 1.6.
OLD_PICKLES = 4


def load_state(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of a file that `torch.save` wrote, by their keys; no code of it is run.

    Returns:
        Tensors of real floating-point numbers, dense and on the CPU, whose numbers need not be
        finite; and `num_batches_tracked`, of any kind, as the file has it.

    Raises:
        ExchangeError: if the file cannot be read, or holds no state_dict of such tensors.
    """
    try:
        with open_regular(path, ARRAY_BYTES) as file:
            _check(file)
            content = torch.load(file, map_location="cpu", weights_only=True)
    except OSError as error:
        raise ExchangeError(f"'{path}' cannot be read: {error.strerror or error}.") from None
    except Exception as error:  # torch and pickle raise many kinds
        raise ExchangeError(
            f"'{path}' is no file of weights alone ({_reason(error)}); write one with "
            "`torch.save(network.state_dict(), 'weights.pt')`."
        ) from None
    if isinstance(content, dict):
        inner = (content[key] for key in CHECKPOINT_KEYS if isinstance(content.get(key), dict))
        content = next(inner, content)
    if not isinstance(content, dict) or not content:
        what = "an empty dict" if isinstance(content, dict) else f"a {type(content).__name__}"
        raise ExchangeError(f"'{path}' holds no state_dict but {what}.")
    for key, value in content.items():
        _check_tensor(key, value, path)
    return content


def _check_tensor(key: object, value: object, path: Path) -> None:
    if not isinstance(key, str):
        raise ExchangeError(
            f"'{path}' has a name of type {type(key).__name__}; expected a state_dict, whose names "
            "are strings."
        )
    if not isinstance(value, torch.Tensor):
        raise ExchangeError(
            f"'{path}' holds {quote(key)}, which is no tensor; expected a state_dict, or a "
            f"checkpoint with one under {' or '.join(CHECKPOINT_KEYS)}."
        )
    if key.rpartition(".")[2] == "num_batches_tracked":
        return
    if why := _why_not(value):
        raise ExchangeError(
            f"{quote(key)} of '{path}' is {why}; expected a dense tensor of real floating-point "
            "numbers, such as float32."
        )


def _why_not(tensor: torch.Tensor) -> str:
    """What about a tensor is not as numbers that can be stored are; empty if nothing."""
    if type(tensor) not in (torch.Tensor, torch.nn.Parameter):
        return f"of type {type(tensor).__name__}"
    if tensor.is_nested:
        return "nested"
    if tensor.is_quantized:
        return f"quantized ({_name(tensor.dtype)})"
    if tensor.layout != torch.strided:
        return f"of layout {_name(tensor.layout)}"
    if tensor.device.type != "cpu":
        return f"without numbers (on the device {tensor.device.type})"
    return "" if tensor.dtype in DTYPES else f"of type {_name(tensor.dtype)}"


def _name(kind: torch.dtype | torch.layout) -> str:
    return str(kind).removeprefix("torch.").lstrip("_")


# What torch.load does without end.


def _check(file: BinaryIO) -> None:
    """Refuse a file that unfolds to more than it holds; leaves it at its start."""
    if not zipfile.is_zipfile(file):
        file.seek(0)
        for _ in range(OLD_PICKLES):
            _check_tuples(file)
        file.seek(0)
        return
    with zipfile.ZipFile(file) as archive:
        check_sizes(archive.infolist())
        for member in archive.infolist():
            if member.filename.endswith(".pkl"):
                if member.file_size > MOST_PICKLED_BYTES:
                    raise ValueError(f"its names would unfold to {member.file_size:,} bytes")
                _check_tuples(archive.read(member))
    file.seek(0)


def _check_tuples(pickled: BinaryIO | bytes) -> None:
    """Count the parts of tuples as if none were shared, as hashing and printing them does.

    A tuple of twice a tuple of twice a tuple ... needs few bytes, and torch.load takes a key of
    that kind for ever. What each operation does to the stack is what pickletools says of it.
    """
    stack, marks, memo, total = [], [], {}, 0
    for operation, argument, _ in pickletools.genops(pickled):
        if operation.name in ("PUT", "BINPUT", "LONG_BINPUT"):
            memo[argument] = stack[-1]
            continue
        start = len(stack) - len(operation.stack_before)
        if pickletools.markobject in operation.stack_before:
            start = marks.pop() - operation.stack_before.index(pickletools.markobject)
        if operation.name in ("GET", "BINGET", "LONG_BINGET"):
            parts = memo[argument]
        else:
            parts = 1 + sum(stack[start:]) if "TUPLE" in operation.name else 1
        total += parts
        if total > MOST_PARTS:
            raise ValueError(f"its tuples would unfold to more than {MOST_PARTS:,} parts")
        if operation.name == "MARK":
            marks.append(len(stack))
        stack[start:] = [parts] * len(operation.stack_after)


def _reason(error: Exception) -> str:
    """Why torch does not load a file, without its page of advice."""
    text = str(error)
    if "weights_only" in text or "Unsupported" in text:
        return "it holds objects that could run code"
    return text if "unfold" in text else "torch cannot read it"
