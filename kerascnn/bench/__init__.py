"""How long an epoch takes beside what a user would write by hand, on this machine.

Each peer trains the same network on the same images in a process of its own, first an epoch that is
not timed. After that they take turns of an epoch, round by round, so that a machine that slows down
slows all of them; what counts are ratios.
"""

import contextlib
import os
import statistics
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from kerascnn.bench.images import STUDY, Sizes
from kerascnn.bench.order import Order
from kerascnn.bench.process import PeerProcess
from kerascnn.bench.turns import Measure, Turn, compare, summarize, summarize_prediction
from kerascnn.recipe import Recipe
from kerascnn.records.bench import Bench, Floor, Profile
from kerascnn.signals import signals_held

# In the order in which they take their turns.
PEERS = ("pytorch", "expert", "keras", "kerascnn")
# Steps and images of a turn that is no epoch.
QUICK_STEPS, QUICK_VALIDATION = 60, 2_000
# What validating an image takes of what training on it takes: there is no way back.
VALIDATION_SHARE = 0.35


@dataclass(frozen=True)
class Plan:
    """How much is measured.

    Attributes:
        rounds: timed turns of each peer.
        sizes: images of an epoch.
        quick_steps: steps of a turn, instead of an epoch; None for whole epochs.
        threads: of the processor, for each peer; None for as many as there are cores.
        profile: whether to tell where the time of kerascnn's step goes; on torch alone.
    """

    rounds: int
    sizes: Sizes = STUDY
    quick_steps: int | None = None
    threads: int | None = None
    profile: bool = False

    def measure(self, batch_size: int) -> Measure:
        """How a turn is measured."""
        if self.quick_steps is None:
            return Measure(batch_size, self.sizes)
        return Measure(batch_size, Sizes(self.quick_steps * batch_size, QUICK_VALIDATION), True)


# Called with what is being done and the seconds that are left, once they are known.
Progress = Callable[[str, float | None], object]


def run_bench(
    recipe: Recipe,
    plan: Plan,
    progress: Progress = lambda what, left: None,
    estimated: Callable[[float], object] = lambda seconds: None,
) -> Bench:
    """Time the peers in turns.

    Args:
        recipe: what is trained; the batch size and the augmentation are its own.
        plan: how much is measured.
        progress: called before each thing that takes a while.
        estimated: called with the seconds that all turns will take, once some steps of each peer
            have told.

    Raises:
        BenchError: if a peer fails.
    """
    with tempfile.TemporaryDirectory(prefix="kerascnn-bench-") as root:
        bench = _Bench(recipe, plan, Path(root), progress)
        with contextlib.ExitStack() as stack:
            for name in PEERS:
                bench.start(name, stack)
            estimated(bench.seconds_left())
            for number in range(plan.rounds + 1):
                for name in PEERS:
                    bench.take_turn(name, number)
            measured = bench.summarize()
        # Only now, for the idle peers hold their memory.
        return measured.model_copy(update={"profile": bench.profile()})


class _Bench:
    """The processes of the peers, and what they have told so far."""

    def __init__(self, recipe: Recipe, plan: Plan, root: Path, progress: Progress):
        self.recipe, self.plan, self.root, self.progress = recipe, plan, root, progress
        self.measure = plan.measure(recipe.train.batch_size)
        self.threads = plan.threads or os.cpu_count() or 1
        self.processes: dict[str, PeerProcess] = {}
        self.turns: dict[str, list[Turn]] = {name: [] for name in PEERS}
        self.floors: list[float] = []
        # Seconds that a turn is expected to take, and turns that are to come, of each peer.
        self.expected: dict[str, float] = {}
        self.to_come = dict.fromkeys(PEERS, plan.rounds + 1)

    def _launch(self, name: str, stack: contextlib.ExitStack) -> PeerProcess:
        with signals_held():  # an interrupt in here would leave a process that nobody knows of
            return stack.enter_context(PeerProcess(name, self.threads))

    def start(self, name: str, stack: contextlib.ExitStack) -> None:
        """Start a peer, up to the first steps of its untimed epoch; the stack ends it."""
        self.progress(f"starting {name}", None)
        self.processes[name] = self._launch(name, stack)
        step_ms = self.processes[name].ask(self._order(name).to_line())["step_ms"]
        sizes, size = self.measure.sizes, self.measure.batch_size
        images = sizes.training + VALIDATION_SHARE * sizes.validation
        self.expected[name] = step_ms / 1000 * images / size

    def seconds_left(self) -> float:
        """Seconds until the last turn has ended, by what is known."""
        return sum(self.expected[name] * count for name, count in self.to_come.items())

    def take_turn(self, name: str, number: int) -> None:
        """Have a peer train for a turn; the first one, number 0, warms it up."""
        rounds = self.plan.rounds
        which = f"round {number} of {rounds}" if number else "untimed epoch"
        self.progress(f"{which}: {name}", self.seconds_left())
        turn = Turn(**self.processes[name].ask("epoch"))
        self.expected[name] = turn.seconds
        self.to_come[name] -= 1
        if number:
            self.turns[name].append(turn)
            if name == "pytorch":
                self.floors.append(self.processes[name].ask("floor")["gflop_second"])

    def summarize(self) -> Bench:
        """What was measured, without a profile."""
        self.progress("predicting", None)
        # Before anything is predicted, which takes memory that training does not.
        about = {name: process.ask("about") for name, process in self.processes.items()}
        ours, sizes = self.processes["kerascnn"], self.measure.sizes
        network = ours.ask("network")
        size = self.measure.batch_size
        floor_ms = [size * network["mflop_image"] / gflop_second for gflop_second in self.floors]
        times = [ours.ask("predict") for _ in range(self.plan.rounds)]
        peak_mb = {name: about[name]["peak_mb"] for name in PEERS}
        return Bench(
            quick=self.measure.quick,
            backend=network["backend"],
            device=network["device"],
            threads=self.threads,
            recipe=self.recipe.name,
            dataset=self.recipe.data.dataset,
            batch_size=size,
            training_images=sizes.training,
            validation_images=sizes.validation,
            steps=self._order("kerascnn").steps,
            rounds=self.plan.rounds,
            floor=Floor(
                mflop_image=network["mflop_image"],
                gflop_second=statistics.median(self.floors),
                step_ms=statistics.median(floor_ms),
            ),
            peers=[
                summarize(name, self.turns[name], self.measure, **about[name]) for name in PEERS
            ],
            ratios=compare(self.turns, self.measure, floor_ms, peak_mb),
            prediction=summarize_prediction(times, sizes.validation),
        )

    def profile(self) -> Profile | None:
        """Where the time of kerascnn's step goes, if that is wanted; told by one more process."""
        if not self.plan.profile:
            return None
        self.progress("profile", None)
        with contextlib.ExitStack() as stack:
            process = self._launch("profile", stack)
            process.ask(self._order("profile").to_line())
            process.ask("epoch")
            told = process.ask("profile")
        return Profile.of(**told)

    def _order(self, name: str) -> Order:
        directory = self.root / name
        directory.mkdir(exist_ok=True)
        epochs = self.plan.rounds + 1
        return Order(self.recipe, self.measure.sizes, epochs, self.threads, str(directory))
