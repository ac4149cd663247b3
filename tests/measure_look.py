"""How fast a long look is beside bare decoding and predicting, and how much memory it takes.

    python tests/measure_look.py [--many 200000] [--few 2000] [--rounds 1]

Pictures of 64x64 are generated in a temporary directory: about 1 GB for 200,000. In turns, each in
a process of its own, `kerascnn top-activations --model` looks at few and at many pictures, and so
does a loop of Pillow and `predict_on_batch` without kerascnn. Pictures a second are those between
few and many, so that imports do not count.
"""

import argparse
import io
import json
import os
import statistics
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

LAYER, BATCH_SIZE, DISTINCT = "second", 64, 1000


def bare(model_path: str, folder: str) -> None:
    """What a script without kerascnn does: the same three numbers an image and filter."""
    from collections import deque
    from concurrent.futures import ThreadPoolExecutor

    import keras
    from keras import ops
    from PIL import Image

    def decode(path):
        with Image.open(path) as picture:
            return np.asarray(picture.convert("RGB"))

    model = keras.saving.load_model(model_path)
    maps = model.get_layer(LAYER).output
    scores = [ops.mean(maps, (1, 2)), ops.max(maps, (1, 2))]
    scores.append(ops.sqrt(ops.sum(ops.square(maps), (1, 2))))
    model = keras.Model(model.inputs[0], scores)
    paths, waiting, found = sorted(entry.path for entry in os.scandir(folder)), deque(), []

    def predict_next():
        images = np.stack([future.result() for future in waiting.popleft()])
        found.append(model.predict_on_batch(images.astype("float32")))

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(paths), BATCH_SIZE):
            batch = paths[start : start + BATCH_SIZE]
            waiting.append([pool.submit(decode, path) for path in batch])
            if len(waiting) > 2:
                predict_next()
        while waiting:
            predict_next()
    print(sum(len(means) for means, _, _ in found))


def write_pictures(folder: Path, count: int) -> None:
    from PIL import Image

    generator, files = np.random.default_rng(0), []
    for _ in range(DISTINCT):
        blocks = generator.integers(0, 256, (8, 8, 3), "uint8")
        file = io.BytesIO()
        Image.fromarray(blocks).resize((64, 64), Image.Resampling.BICUBIC).save(file, "JPEG")
        files.append(file.getvalue())
    folder.mkdir()
    for number in range(count):
        (folder / f"{number:07}.jpg").write_bytes(files[number % DISTINCT])


def write_model(path: Path) -> None:
    import keras
    from keras import layers

    keras.Sequential([
        keras.Input((64, 64, 3)),
        layers.Rescaling(1 / 255),
        layers.Conv2D(32, 3, activation="relu", name="first"),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, activation="relu", name=LAYER),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(10, activation="softmax"),
    ]).save(path)  # fmt: skip


def command(model: Path, folder: Path) -> list[str | Path]:
    return ["-m", "kerascnn", "top-activations", "--model", model, "--layer", LAYER, "--images",
            folder, "--batch-size", BATCH_SIZE, "--json", "--output", f"{folder}.png"]  # fmt: skip


def run(arguments: list[str | Path], environment: dict[str, str]) -> tuple[float, float]:
    """Seconds and peak memory in MiB of a process."""
    started = time.monotonic()
    command = [sys.executable, *map(str, arguments)]
    nowhere = [(os.POSIX_SPAWN_OPEN, 1, os.devnull, os.O_WRONLY, 0)]
    child = os.posix_spawn(sys.executable, command, environment, file_actions=nowhere)
    _, status, usage = os.wait4(child, 0)
    if status:
        sys.exit(f"{' '.join(command)} ended with status {status}")
    return time.monotonic() - started, usage.ru_maxrss / 1024


def measure(few: int, many: int, rounds: int) -> dict[str, float]:
    """Pictures a second of `look` and `bare`, their ratio, and peak memory of `look` in MiB."""
    found = {name: [] for name in ("look", "bare", "memory_few", "memory_many")}
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        for count in (few, many):
            write_pictures(root / str(count), count)
        model = root / "model.keras"
        write_model(model)
        for number in range(rounds):
            environment = os.environ | {"KERASCNN_CACHE_DIR": f"{root}/cache{number}"}
            seconds, peaks = {}, {}
            for count in (few, many):
                look = command(model, root / str(count))
                seconds["look", count], peaks[count] = run(look, environment)
                script = [__file__, "--bare", model, root / str(count)]
                seconds["bare", count], _ = run(script, environment)
            for kind in ("look", "bare"):
                found[kind].append((many - few) / (seconds[kind, many] - seconds[kind, few]))
            found["memory_few"].append(peaks[few])
            found["memory_many"].append(peaks[many])
    medians = {name: statistics.median(values) for name, values in found.items()}
    medians["ratio"] = statistics.median(
        look / bare for look, bare in zip(found["look"], found["bare"], strict=True)
    )
    medians["memory_ratio"] = medians["memory_many"] / medians["memory_few"]
    return medians


if __name__ == "__main__":
    os.environ.setdefault("KERAS_BACKEND", "torch")
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--many", type=int, default=200_000)
    parser.add_argument("--few", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=1)
    parser.add_argument("--bare", nargs=2, metavar=("MODEL", "FOLDER"))
    given = parser.parse_args()
    if given.bare:
        bare(*given.bare)
    else:
        print(json.dumps(measure(given.few, given.many, given.rounds), indent=2))
