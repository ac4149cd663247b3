"""Options that commands share: given once, refused twice, and not given where only a default is."""

from dataclasses import dataclass
from typing import Annotated

import pytest
import typer

import kerascnn.bench
from kerascnn.cli.options import spread
from kerascnn.errors import BenchError


@pytest.mark.parametrize(
    ("command", "option", "key"),
    [
        (["run", "sgd-lr0.01"], "--dataset", "data.dataset"),
        (["run", "sgd-lr0.01"], "--epochs", "train.epochs"),
        (["run", "sgd-lr0.01"], "--seed", "train.seed"),
        (["run", "sgd-lr0.01"], "--batch-size", "train.batch_size"),
        (["bench"], "--dataset", "data.dataset"),
        (["bench"], "--batch-size", "train.batch_size"),
        (["convert", "weights.pt"], "--dataset", "data.dataset"),
        (["reproduce"], "--dataset", "data.dataset"),
        (["reproduce"], "--epochs", "train.epochs"),
    ],
)
def test_an_option_and_a_setting_of_its_key_are_refused(invoke, command, option, key):
    status, out, err = invoke(*command, option, "3", "--set", f"{key}=3")
    assert (status, out) == (1, "")
    assert err == f"Error: Give {option} or --set {key}, not both.\n"


@pytest.fixture
def benched(monkeypatch):
    """The recipes that the bench was asked to time."""
    recipes = []

    def run_bench(recipe, *_, **__):
        recipes.append(recipe)
        raise BenchError("not in tests.")

    monkeypatch.setattr(kerascnn.bench, "run_bench", run_bench)
    return recipes


@pytest.mark.parametrize(
    ("arguments", "dataset"),
    [
        ([], "shapes"),
        (["--dataset", "cifar10"], "cifar10"),
        (["--set", "data.dataset=cifar10"], "cifar10"),
        (["--set", "train.batch_size=3"], "shapes"),
    ],
)
def test_a_default_is_not_given(invoke, benched, arguments, dataset):
    assert invoke("bench", *arguments)[0] == 1
    assert [recipe.data.dataset for recipe in benched] == [dataset]


@dataclass(frozen=True)
class Place:
    """Options of a group."""

    name: Annotated[str, typer.Argument()] = "here"
    depth: Annotated[int, typer.Option("--depth", "-d")] = 3


def test_a_group_of_options_is_one_value_of_the_command(capsys):
    app = typer.Typer()

    @app.command()
    @spread
    def look(*, loud: Annotated[bool, typer.Option()] = False, place: Place) -> None:
        """Look somewhere."""
        print(loud, place)

    names = [each.name for each in typer.main.get_command(app).params]
    assert names[:3] == ["loud", "name", "depth"]
    for arguments, shown in (
        ([], "False Place(name='here', depth=3)"),
        (["there", "--loud", "-d", "5"], "True Place(name='there', depth=5)"),
    ):
        app(arguments, standalone_mode=False)
        assert capsys.readouterr().out == f"{shown}\n"
