"""The file of claims is read as it stands, and a mistake in it is named by claim and key."""

import pytest

from kerascnn.errors import KerascnnError
from kerascnn.recipe import list_recipes, load_recipe
from kerascnn.records.quantity import BEST_EPOCH, GAP
from kerascnn.study.check_numbers import GAIN
from kerascnn.study.claims import all_claims, read_claims
from kerascnn.study.kinds import CHECKS

TEXT = """
["a/gain"]
text = "It gains 4 points."
where = "Page 3"
kind = "gain"
recipes = ["sgd-lr0.01", "sgd-lr0.01-augmented"]
reported = 0.04
"""


def test_claim_is_what_its_table_says():
    (claim,) = read_claims(TEXT)
    assert (claim.name, claim.text, claim.where) == ("a/gain", "It gains 4 points.", "Page 3")
    assert claim.recipes == ("sgd-lr0.01", "sgd-lr0.01-augmented")
    assert (claim.reported, claim.compared) == (0.04, GAIN)


def test_quantity_of_a_number_is_said_by_its_name():
    claims = {claim.name: claim.compared for claim in all_claims()}
    assert claims["sgd-lr0.01-augmented/equal-losses"] == GAP
    assert claims["sgd-lr0.01/best_epoch"] == BEST_EPOCH
    assert claims["sgd-lr0.01/gap"] is None


def test_no_two_claims_say_the_same():
    claims = all_claims()
    assert len({claim.text for claim in claims}) == len({claim.name for claim in claims})
    assert len({claim.name for claim in claims}) == len(claims)


def test_every_reported_number_is_a_claim():
    names = {claim.name for claim in all_claims()}
    for name in list_recipes():
        reported = load_recipe(name).reported
        for quantity in ("best_val_loss", "best_epoch", "train_loss", "accuracy"):
            assert (f"{name}/{quantity}" in names) == (getattr(reported, quantity) is not None)
        for class_name, figure in reported.per_class.items():
            assert (f"{name}/{class_name}" in names) == (0 < figure.value < 1)


def test_title_under_a_recipe_stands_for_its_reported_numbers():
    claims = read_claims('["adam-lr0.1"]\ntitle = "the run with Adam"')
    assert claims[0].text == "The test accuracy of the run with Adam is 10 %."


def test_claims_name_recipes_that_are_shipped_and_use_each_kind():
    claims = all_claims()
    assert {recipe for claim in claims for recipe in claim.recipes} <= set(list_recipes())
    assert {claim.kind for claim in claims} == set(CHECKS)


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ('"gain"', '"gian"', "there is no kind 'gian'. Did you mean 'gain'?"),
        ("reported = 0.04", "", "key 'reported': Field required"),
        ("0.04", '"much"', "key 'reported': Input should be a valid number"),
        ("reported", "epoch = 3\nreported", "key 'epoch': Extra inputs are not permitted"),
        (', "sgd-lr0.01-augmented"]', "]", "key 'recipes.1': Field required"),
        ('where = "Page 3"', "", "key 'where': Field required"),
        (
            '"gain"\nrecipes = ["sgd-lr0.01", ',
            '"number"\nquantity = "gian"\nrecipes = [',
            "key 'quantity': 'gian' is none of",
        ),
    ],
)
def test_mistake_is_named_by_claim_and_key(old, new, said):
    with pytest.raises(KerascnnError) as error:
        read_claims(TEXT.replace(old, new))
    assert str(error.value).startswith("Claim 'a/gain'")
    assert said in str(error.value)
