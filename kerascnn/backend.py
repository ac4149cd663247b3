"""Which Keras backend: settled before Keras is first imported."""

import contextlib
import ctypes
import importlib.util
import os
import platform
import sys
from importlib.metadata import PackageNotFoundError, version

from kerascnn.errors import BackendError
from kerascnn.regular_files import RECORD_BYTES, read_regular

BACKENDS = ("torch", "jax", "tensorflow")
# Linux's names of what computes with bfloat16, on x86 and on Arm.
BFLOAT16_UNITS = {"avx512_bf16", "amx_bf16", "bf16"}
# How glibc's malloc.h numbers these parameters; ctypes cannot read their names from there.
_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD = -1, -3


def choose_backend() -> None:
    """Make torch the backend unless `KERAS_BACKEND` says otherwise or Keras is imported already.

    The backend in `~/.keras/keras.json` is not looked at: Keras writes that file by itself.
    """
    if "keras" not in sys.modules and not os.environ.get("KERAS_BACKEND"):
        os.environ["KERAS_BACKEND"] = "torch"
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")


def require_backend() -> str:
    """The backend's name, once it is sure that it can be imported.

    Raises:
        BackendError: if `KERAS_BACKEND` names none that trains, or one that is not installed.
    """
    name = os.environ.get("KERAS_BACKEND") or "torch"
    if "keras" in sys.modules:
        name = sys.modules["keras"].config.backend()
    if name not in BACKENDS:
        raise BackendError(
            f"KERAS_BACKEND is '{name}'; expected one of {', '.join(BACKENDS)}. "
            "Unset it to use torch."
        )
    if importlib.util.find_spec(name) is None:
        package = "torch" if name == "torch" else f"'kerascnn[{name}]'"
        raise BackendError(
            f"The Keras backend '{name}' is not installed. Install it with `pip install {package}`,"
            " or unset KERAS_BACKEND to use torch."
        )
    return name


def keep_tensorflow_out() -> None:
    """Let Keras not import TensorFlow beside another backend, as it does where it is installed.

    It only asks whether something is TensorFlow's; that takes seconds, and TensorFlow logs. Keras
    asks once whether it is there, so it is asked while it is not.
    """
    import keras

    if keras.config.backend() == "tensorflow" or "tensorflow" in sys.modules:
        return
    sys.modules["tensorflow"] = None  # which Python takes for one that is not installed
    try:
        keras.saving.serialize_keras_object(keras.layers.ReLU())
    finally:
        del sys.modules["tensorflow"]


def describe_backend() -> dict[str, object]:
    """Backend, device, threads and versions, as `environment.json` and `--version` give them.

    Raises:
        BackendError: as `require_backend`.
    """
    name = require_backend()
    device, threads = _device(name)
    packages = ("kerascnn", "keras", name, "numpy", "tensorflow-datasets")
    return {
        "backend": name,
        "device": device,
        "threads": threads,
        "versions": {package: _version(package) for package in packages},
        "python": platform.python_version(),
        "platform": f"{platform.system()} {platform.machine()}",
    }


def why_slower(precision: str) -> str:
    """Why training in a precision takes longer here than in float32; empty where it does not.

    Args:
        precision: of a recipe: `float32`, `mixed_bfloat16` or `mixed_float16`.

    Raises:
        BackendError: as `require_backend`.
    """
    name = require_backend()
    if precision == "float32" or _device(name)[0] != "cpu":
        return ""
    if name != "torch":
        return f"On a processor, {name} takes longer in {precision} than in float32."
    if precision == "mixed_float16":
        return (
            "On a processor, mixed_float16 takes longer than float32: what float16 would multiply "
            "is multiplied in float32 and rounded."
        )
    if not BFLOAT16_UNITS & _processor_flags():
        return (
            "This processor has no units for bfloat16 (AVX512-BF16, AMX or Arm's BF16), so "
            "mixed_bfloat16 takes longer here than float32."
        )
    return ""


def _processor_flags() -> set[str]:
    """What the processor can do, in Linux's words; empty where that is not known."""
    with contextlib.suppress(OSError):
        words = read_regular("/proc/cpuinfo", RECORD_BYTES).decode("utf-8", "replace").splitlines()
        flags = next((line for line in words if line.lower().startswith(("flags", "features"))), "")
        return set(flags.partition(":")[2].split())
    return set()


def keep_freed_memory() -> None:
    """Have the C library of this process keep what is freed for the next batch.

    By default glibc gives large blocks back to the system, which clears them page by page when they
    are asked for again: in a training step of 20 images up to 9,400 page faults on jax, a third of
    its time, and up to 1,700 on torch.
    """
    with contextlib.suppress(AttributeError, OSError, TypeError):  # another C library
        libc = ctypes.CDLL(None)
        for parameter in (_M_TRIM_THRESHOLD, _M_MMAP_THRESHOLD):
            libc.mallopt(parameter, 2**30)


def _device(backend: str) -> tuple[str, int]:
    if backend == "torch":
        import torch

        name = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
        return name, torch.get_num_threads()
    if backend == "jax":
        import jax

        device = jax.devices()[0]
        name = "cpu" if device.platform == "cpu" else device.device_kind
        return name, os.cpu_count() or 1
    import tensorflow as tf

    gpus = tf.config.list_physical_devices("GPU")
    name = gpus[0].name if gpus else "cpu"
    return name, tf.config.threading.get_intra_op_parallelism_threads() or os.cpu_count() or 1


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"
