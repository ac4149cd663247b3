"""Each kind of claim gets each verdict that it can get, from runs whose figures are given."""

import json
import math
from collections import Counter

import numpy as np
import pytest
from made.runs import NAMES, collapse, make_run

from kerascnn.data import load_dataset
from kerascnn.page import write_page
from kerascnn.recipe import list_recipes, load_recipe
from kerascnn.records.quantity import ACCURACY
from kerascnn.records.study import Verdict
from kerascnn.run import files
from kerascnn.run.find import create_run, list_runs
from kerascnn.study.audit import audit
from kerascnn.study.claims import all_claims
from kerascnn.study.evidence import Evidence, FirstLayers, Layer
from kerascnn.study.readings import DEFAULT, READINGS
from kerascnn.study.results import load_results, select_results

HOLDS, FAILS, UNTOLD, UNCHECKABLE, CONTRADICTED = Verdict
FILES = ("recipe.toml", "best.keras")
CLAIMS = {claim.name: claim for claim in all_claims()}
ADAM, FIRST = "adam-lr0.001", "sgd-lr0.01"
AUGMENTED, LONGER = "sgd-lr0.01-augmented", "sgd-lr0.1-augmented"


class Look:
    """Gives first layers that were not measured: that of each run, and those of no training."""

    def __init__(self, trained, untrained):
        self.trained = lambda run: trained
        self.untrained = lambda run: untrained


def evidence(look=None, reading="every-block"):
    recipes = map(load_recipe, list_recipes())
    results = select_results(load_results(list_runs("runs")), READINGS[reading], recipes)
    return Evidence(results, look=look)


def find(name, **options):
    """What is found about a claim by the runs in `runs`."""
    return CLAIMS[name].find(evidence(**options))


def verdict(name, **options):
    return find(name, **options).verdict


def audited(name):
    """What the audit of `runs` says about a claim."""
    return next(claim for claim in audit("runs").claims if claim.name == name)


def curve(lowest, at, epochs=25, end=None):
    """A validation loss that falls to its lowest and, where an end is given, rises to that."""
    falling = np.linspace(lowest + 0.5, lowest, at)
    return [*falling, *np.linspace(lowest, end or lowest, epochs - at + 1)[1:]]


def two_seeds(recipe, apart=0.002, accuracies=None, **options):
    """Runs of two seeds whose accuracy of each class lies `apart`."""
    for seed in (0, 1):
        given = {name: 0.8 for name in NAMES} | (accuracies or {})
        shifted = {name: share + (seed - 0.5) * apart for name, share in given.items()}
        make_run("runs", recipe, seed=seed, accuracies=shifted, **options)


def test_evidence_is_whole_sentences():
    two_seeds(FIRST)
    two_seeds(AUGMENTED)
    for claim in audit("runs").claims:
        assert claim.evidence[0].isupper()
        assert claim.evidence.endswith(".")


def test_without_runs_everything_is_uncheckable_or_contradicted():
    found = audit("runs")
    assert {claim.verdict for claim in found.claims} == {UNCHECKABLE, CONTRADICTED}
    assert sum(found.counts.values()) == len(CLAIMS)
    missing = audited(f"{LONGER}/gain")
    assert missing.evidence == f"There is no finished run of {AUGMENTED} and {LONGER}."


def test_audit_has_the_keys_of_version_0_1():
    two_seeds(FIRST)
    found = audit("runs").model_dump(mode="json")
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert list(found) == ["readings", "counts", "left_out", "claims"]
    assert list(found["readings"][0]) == ["name", "title", "num_runs"]
    assert list(found["counts"]) == list(Verdict)
    claim = found["claims"][0]
    assert list(claim) == [
        "name", "text", "where", "recipes", "verdict", "evidence", "closest", "readings",
    ]  # fmt: skip
    assert list(claim["readings"][DEFAULT.name]) == [
        "verdict", "evidence", "reported", "measured", "num_runs",
    ]  # fmt: skip


def test_audit_can_be_read_like_the_dict_of_version_0_1():
    found = audit("runs")
    assert found["claims"][0]["verdict"] == "not checkable"
    assert found["counts"]["the study contradicts itself"] == 5


def test_audit_that_was_stored_as_json_can_be_shown_on_a_page():
    two_seeds(FIRST)
    stored = json.loads(audit("runs").model_dump_json())
    page = write_page(list_runs("runs"), "page.html", stored, pictures=False).read_text("utf-8")
    assert f"{len(CLAIMS)} statements of the study" in page


def test_each_file_of_a_run_is_read_once(monkeypatch):
    two_seeds(FIRST)
    for run in list_runs("runs"):
        run.best_path.write_bytes(run.name.encode())
        measured = run.read_metrics().model_copy(update={"model_sha256": run.best_digest()})
        run.write_metrics(measured)
    read = Counter()

    def counted(function):
        def call(path):
            read[str(path)] += 1
            return function(path)

        return call

    monkeypatch.setattr("kerascnn.run.load_recipe", counted(load_recipe))
    monkeypatch.setattr("kerascnn.run.files._sha256", counted(files._sha256))
    assert audit("runs").readings[0].num_runs == 2
    expected = {str(run.path / name) for run in list_runs("runs") for name in FILES}
    assert read == dict.fromkeys(expected, 1)


@pytest.mark.parametrize(
    ("measured", "expected"), [(0.678, HOLDS), (0.6801, HOLDS), (0.60, FAILS), (0.75, FAILS)]
)
def test_number_holds_where_one_more_run_could_have_given_it(measured, expected):
    for seed, shift in enumerate((-0.001, 0.0, 0.001)):
        make_run("runs", seed=seed, val_loss=curve(measured + shift, 10))
    assert verdict(f"{FIRST}/best_val_loss") == expected


def test_number_cannot_be_told_where_seeds_lie_far_apart():
    for seed, best in enumerate((0.6, 0.7)):
        make_run("runs", seed=seed, val_loss=curve(best, 10))
    assert verdict(f"{FIRST}/best_val_loss") == UNTOLD


def test_number_of_one_seed_cannot_be_told():
    make_run("runs", val_loss=curve(0.4, 10))
    found = find(f"{FIRST}/best_val_loss")
    assert found.verdict == UNTOLD
    assert "not known" in found.evidence


def test_spread_of_another_recipe_serves_one_seed():
    two_seeds(AUGMENTED, val_loss=None)
    make_run("runs", val_loss=curve(0.4, 10))
    assert verdict(f"{FIRST}/best_val_loss") == FAILS


@pytest.mark.parametrize(("share", "expected"), [(0.756, HOLDS), (0.772, FAILS)])
def test_accuracy_in_whole_percents_is_rounded(share, expected):
    # The images are the study's: that they are a sample is no reason for another accuracy.
    two_seeds(FIRST, apart=0.0, accuracies=dict.fromkeys(NAMES, share))
    found = find(f"{FIRST}/accuracy")
    assert found.verdict == expected
    assert "reported 76 %. One more run may lie 0.5 points off by chance and rounding." in (
        found.evidence
    )


@pytest.mark.parametrize(("share", "expected"), [(0.68, HOLDS), (0.75, FAILS)])
def test_accuracy_of_a_class_can_hold_and_not(share, expected):
    two_seeds(FIRST, apart=0.01, accuracies={"cat": share})
    assert verdict(f"{FIRST}/cat") == expected


@pytest.mark.parametrize(("at", "expected"), [(6, HOLDS), (20, FAILS)])
def test_best_epoch_may_be_any_as_low_as_noise_allows(at, expected):
    make_run("runs", val_loss=curve(0.6, at, end=0.9))
    assert verdict(f"{FIRST}/best_epoch") == expected


def test_best_epoch_cannot_be_told_on_a_flat_noisy_curve():
    noise = np.random.default_rng(0).normal(0, 0.05, 25)
    make_run("runs", val_loss=list(0.6 + noise))
    assert verdict(f"{FIRST}/best_epoch") == UNTOLD


@pytest.mark.parametrize(("at", "expected"), [(20, HOLDS), (3, FAILS)])
def test_losses_improve_at_first_where_both_fall_until_epoch_six(at, expected):
    make_run("runs", val_loss=curve(0.6, at, end=1.2))
    assert verdict(f"{FIRST}/no-early-overfitting") == expected


def test_one_epoch_that_is_worse_does_not_end_improvement():
    make_run("runs", val_loss=[1.13, 1.34, 0.86, 0.79, 0.78, 0.76, *([0.7] * 19)])
    assert verdict(f"{FIRST}/no-early-overfitting") == HOLDS


def test_seeds_whose_lowest_stretch_is_too_late_are_named():
    make_run("runs", val_loss=curve(0.6, 8, end=0.9))
    make_run("runs", seed=1, val_loss=list(np.linspace(1.5, 0.6, 25)))
    found = find(f"{FIRST}/overfitting")
    assert found.verdict == UNTOLD
    assert "Too few epochs follow that of seed 1." in found.evidence
    assert "0.900 at the end; its diagnosis calls this overfitting." in found.evidence


@pytest.mark.parametrize(("after", "expected"), [(0.4, HOLDS), (0.6, FAILS)])
def test_run_goes_on_where_a_later_epoch_is_lower(after, expected):
    make_run("runs", LONGER, val_loss=[*curve(0.6, 28, 28), *([after] * 22)])
    assert verdict(f"{LONGER}/goes-on") == expected


@pytest.mark.parametrize(("set_back", "expected"), [(0.02, HOLDS), (0.2, FAILS)])
def test_learning_is_steady_without_set_backs(set_back, expected):
    losses = np.linspace(1.6, 0.5, 50)
    losses[40] = (1 + set_back) * losses[39]
    make_run("runs", ADAM, loss=list(losses))
    assert verdict(f"{ADAM}/steady") == expected


def test_collapsed_network_does_not_learn_steadily():
    collapse(make_run("runs", ADAM))
    assert verdict(f"{ADAM}/steady") == FAILS


@pytest.mark.parametrize(("end", "expected"), [(0.9, HOLDS), (None, UNTOLD)])
def test_curve_turns_up_by_its_trend_after_the_lowest_stretch(end, expected):
    noise = np.random.default_rng(0).normal(0, 0.01, 25)
    make_run("runs", val_loss=list(np.array(curve(0.6, 8, end=end)) + noise))
    assert verdict(f"{FIRST}/overfitting") == expected


def test_curve_that_is_lowest_at_the_end_does_not_turn_up():
    make_run("runs", val_loss=list(np.linspace(1.5, 0.6, 25)))
    assert verdict(f"{FIRST}/overfitting") == FAILS


@pytest.mark.parametrize(("loss", "expected"), [(0.605, HOLDS), (0.7, FAILS)])
def test_losses_end_as_near_as_reported_where_one_more_run_could(loss, expected):
    for seed in (0, 1):
        losses = list(np.linspace(1.8, loss + 0.002 * seed, 25))
        make_run("runs", AUGMENTED, seed, val_loss=list(np.linspace(1.5, 0.6, 25)), loss=losses)
    assert verdict(f"{AUGMENTED}/equal-losses") == expected


def test_runs_that_disagree_differ_with_the_seed():
    for seed, loss in enumerate((0.2, 0.5)):
        make_run("runs", seed=seed, loss=list(np.linspace(1.8, loss, 25)))
    found = find(f"{FIRST}/gap")
    assert found.verdict == UNTOLD
    assert found.evidence.startswith("It differs with the seed. Yes in 1 of 2 runs. Seed 0:")


def test_verdict_that_hangs_by_a_thread_is_called_close():
    two_seeds(FIRST, apart=0.0, accuracies=dict.fromkeys(NAMES, 0.755))
    assert "This is a close call." in find(f"{FIRST}/accuracy").evidence
    two_seeds(FIRST, apart=0.0, accuracies=dict.fromkeys(NAMES, 0.76))
    assert "This is a close call." not in find(f"{FIRST}/accuracy").evidence


@pytest.mark.parametrize(("after", "expected"), [(0.84, HOLDS), (0.812, FAILS), (0.80, FAILS)])
def test_gain_is_compared_with_that_of_one_more_pair(after, expected):
    two_seeds(FIRST, accuracies=dict.fromkeys(NAMES, 0.80))
    two_seeds(AUGMENTED, accuracies=dict.fromkeys(NAMES, after))
    assert verdict(f"{AUGMENTED}/gain") == expected


def test_no_gain_at_all_is_never_told_to_hold():
    # One more pair of runs may lie some 3 points off: near 4, and near 0.
    two_seeds(FIRST, apart=0.01, accuracies=dict.fromkeys(NAMES, 0.80))
    two_seeds(AUGMENTED, apart=0.01, accuracies=dict.fromkeys(NAMES, 0.81))
    assert verdict(f"{AUGMENTED}/gain") == UNTOLD


def test_gain_cannot_be_told_where_noise_is_larger_than_it():
    two_seeds(FIRST, apart=0.04)
    two_seeds(AUGMENTED, apart=0.04, accuracies=dict.fromkeys(NAMES, 0.84))
    assert verdict(f"{AUGMENTED}/gain") == UNTOLD


@pytest.mark.parametrize(("adam", "expected"), [(0.80, HOLDS), (0.90, FAILS), (0.81, UNTOLD)])
def test_match_holds_only_where_a_difference_is_ruled_out(adam, expected):
    two_seeds(LONGER, apart=0.0002)
    two_seeds(ADAM, apart=0.0002, accuracies=dict.fromkeys(NAMES, adam))
    assert verdict(f"{ADAM}/matches-sgd") == expected


@pytest.mark.parametrize(
    ("accuracies", "expected"),
    [
        ({"ship": 0.95, "truck": 0.90, "frog": 0.85}, HOLDS),
        ({"truck": 0.95, "ship": 0.90, "frog": 0.85}, HOLDS),  # the order is said, not judged
        ({"ship": 0.95, "truck": 0.90, "frog": 0.72}, FAILS),
        ({"ship": 0.90, "truck": 0.899, "frog": 0.802}, UNTOLD),
        ({}, UNTOLD),
    ],
)
def test_strongest_hold_where_draws_of_seeds_and_images_keep_them(accuracies, expected):
    two_seeds(FIRST, accuracies=accuracies)
    assert verdict(f"{FIRST}/strongest") == expected


def test_weakest_are_the_lowest_in_their_order():
    two_seeds(FIRST, accuracies={"bird": 0.5, "dog": 0.6, "cat": 0.7})
    assert verdict(f"{FIRST}/weakest") == HOLDS


def test_order_is_the_same_at_every_call():
    two_seeds(FIRST, accuracies={"ship": 0.90, "truck": 0.899, "frog": 0.85})
    first, second = (find(f"{FIRST}/strongest") for _ in range(2))
    assert first == second


@pytest.mark.parametrize(("at", "expected"), [(28, HOLDS), (10, FAILS)])
def test_epoch_of_passing_the_earlier_best(at, expected):
    for seed in (0, 1):
        make_run("runs", AUGMENTED, seed=seed, val_loss=curve(0.6 + 0.001 * seed, 25))
    make_run("runs", LONGER, val_loss=[*([0.7] * (at - 1)), *([0.5] * (51 - at))])
    assert verdict(f"{LONGER}/passes-at-28") == expected


def test_earlier_best_that_is_never_passed():
    for seed in (0, 1):
        make_run("runs", AUGMENTED, seed=seed, val_loss=curve(0.3 + 0.001 * seed, 25))
    make_run("runs", LONGER, val_loss=[0.7] * 50)
    found = find(f"{LONGER}/passes-at-28")
    assert found.verdict == FAILS
    assert "a higher one would be passed never, a lower one never." in found.evidence


def test_epoch_of_passing_is_not_told_without_a_spread():
    make_run("runs", AUGMENTED, val_loss=curve(0.6, 25))
    make_run("runs", LONGER, val_loss=[*([0.7] * 28), *([0.5] * 22)])
    assert verdict(f"{LONGER}/passes-at-28") == UNTOLD


@pytest.mark.parametrize(("slope", "expected"), [(-0.02, HOLDS), (0.0, UNTOLD), (0.02, FAILS)])
def test_network_is_unfinished_where_its_loss_still_falls(slope, expected):
    noise = np.random.default_rng(0).normal(0, 0.01, 25)
    make_run("runs", AUGMENTED, val_loss=list(1 + slope * np.arange(25) + noise))
    assert verdict(f"{AUGMENTED}/unfinished") == expected


@pytest.mark.parametrize(("loss", "expected"), [(0.65, HOLDS), (0.0, FAILS), (0.4, UNTOLD)])
def test_augmentation_suppresses_overfitting_by_the_gap(loss, expected):
    make_run("runs", FIRST, val_loss=[0.6] * 25, loss=list(np.linspace(2, 0.2, 25)))
    make_run("runs", AUGMENTED, val_loss=[0.6] * 25, loss=list(np.linspace(2, loss, 25)))
    assert verdict(f"{AUGMENTED}/suppresses-overfitting") == expected
    assert verdict(f"{FIRST}/gap") == HOLDS


def test_collapse_to_airplane():
    for seed in range(3):
        # Of one or two seeds, one in ten is airplane by chance.
        assert seed == 0 or verdict("adam-lr0.1/which-class") == UNCHECKABLE
        collapse(make_run("runs", "adam-lr0.1", seed=seed, val_loss=[2.31] * 50))
    for name in ("learns-nothing", "one-class", "which-class"):
        assert verdict(f"adam-lr0.1/{name}") == HOLDS
    collapse(make_run("runs", "adam-lr0.1", seed=3, val_loss=[2.31] * 50), "truck")
    assert verdict("adam-lr0.1/which-class") == UNCHECKABLE


def test_accuracy_of_a_collapsed_network_needs_no_second_seed():
    collapse(make_run("runs", "adam-lr0.1", val_loss=[2.31] * 50))
    assert verdict("adam-lr0.1/accuracy") == HOLDS


def test_network_that_learns_does_not_collapse():
    make_run("runs", "adam-lr0.1", val_loss=[1.0] * 50)
    assert verdict("adam-lr0.1/learns-nothing") == FAILS
    assert verdict("adam-lr0.1/one-class") == FAILS
    assert verdict("adam-lr0.1/which-class") == FAILS


def test_confused_pair_is_ranked_among_all():
    make_run("runs", accuracies={"cat": 0.5})  # errors fall on the next class, deer
    assert verdict(f"{FIRST}/cat-dog") == FAILS
    found = find(f"{FIRST}/cat-dog")
    assert found.evidence == (
        "Seed 0: 0 images of the two are confused, which makes them pair 11 of 45; the average of "
        "all pairs is 51. Only this seed was run."
    )


NUM_FILTERS = 4


def layer(change=None):
    """Scores of four filters over 2,000 images that follow nothing, but for what is changed."""
    random = np.random.default_rng(0)
    labels = np.tile(np.arange(10), 200)
    scores = random.uniform(0, 1, (2000, NUM_FILTERS)).astype("float32")
    properties = {
        f"{kind} {where}": random.uniform(0, 1, 2000)
        for kind in ("blueness", "brightness")
        for where in ("of the image", "in the border", "in the centre")
    }
    made = Layer(scores, properties, labels, NAMES)
    if change:
        change(made)
    return made


def of_class(made, name):
    return np.flatnonzero(made.labels == NAMES.index(name))


def check_layer(name, change=None, untrained=None, seeds=1):
    for seed in range(seeds):
        make_run("runs", ADAM, seed)
    look = Look(layer(change), [layer(untrained)] * 10)
    return find(f"layer/{name}", look=look)


def look_verdict(*arguments, **options):
    return check_layer(*arguments, **options).verdict


def blue_airplanes(made):
    # Four airplanes and an automobile, all on the bluest of blue.
    best = [*of_class(made, "airplane")[:4], of_class(made, "automobile")[0]]
    made.scores[best, 1] = 5
    made.properties["blueness in the border"][best] = 2


def follows_blue(made):
    made.scores[:, 1] = made.properties["blueness in the border"]
    blue_airplanes(made)


def follows_airplanes(made):
    follows_blue(made)
    made.scores[of_class(made, "airplane"), 1] += 0.5


def test_filter_of_airplanes_on_blue_is_found():
    assert look_verdict("airplanes-on-blue") == FAILS
    assert look_verdict("airplanes-on-blue", blue_airplanes) == HOLDS


def test_untrained_layers_stand_beside_trained_ones():
    found = check_layer("airplanes-on-blue", blue_airplanes)
    assert found.evidence.endswith(" It is so in 0 of 10 untrained layers.")
    found = check_layer("airplanes-on-blue", untrained=blue_airplanes)
    assert found.evidence.endswith(" It is so in 10 of 10 untrained layers.")


@pytest.mark.parametrize(
    ("trained", "untrained", "seeds", "expected"),
    [
        (True, False, 3, HOLDS),
        (True, False, 1, UNTOLD),  # one layer may have it by chance
        (True, True, 3, UNTOLD),
        (False, True, 3, FAILS),
    ],
)
def test_filter_is_learned_where_untrained_layers_have_none(trained, untrained, seeds, expected):
    given = [blue_airplanes if has_one else None for has_one in (trained, untrained)]
    assert look_verdict("airplanes-on-blue-learned", *given, seeds=seeds) == expected


def test_counts_of_trained_and_untrained_layers_are_said():
    found = check_layer("airplanes-on-blue-learned", blue_airplanes, seeds=3)
    assert "3 of 3 (trained, 3 seeds), 0 of 10 (untrained, 10 seeds)" in found.evidence


def test_highest_filter_is_one_of_airplanes_on_blue_or_not():
    def another_is_higher(made):
        blue_airplanes(made)
        made.scores[0, 0] = 6

    assert look_verdict("highest-on-blue", blue_airplanes) == HOLDS
    assert look_verdict("highest-on-blue", another_is_higher) == FAILS
    assert look_verdict("highest-on-blue") == FAILS


def test_airplanes_on_blue_are_darker_than_it_or_not():
    def dark(made):
        blue_airplanes(made)
        made.properties["brightness in the centre"][:] = -1

    def one_is_bright(made):
        dark(made)
        made.properties["brightness in the centre"][of_class(made, "automobile")[0]] = 2

    assert look_verdict("dark-on-blue", dark) == HOLDS
    found = check_layer("dark-on-blue", one_is_bright)
    assert found.verdict == FAILS
    assert "4 of the five images of filter 2" in found.evidence
    assert look_verdict("dark-on-blue") == UNCHECKABLE  # there is no such filter


def test_airplanes_on_other_than_blue_do_not_count():
    def not_blue(made):
        blue_airplanes(made)
        made.properties["blueness in the border"][of_class(made, "airplane")[0]] = 0

    assert look_verdict("airplanes-on-blue", not_blue) == FAILS


def test_background_is_told_from_class_among_alike_images():
    assert look_verdict("background-not-class", follows_blue) == HOLDS
    assert look_verdict("background-not-class", follows_airplanes) == FAILS
    assert look_verdict("background-not-class") == UNCHECKABLE  # there is no such filter


def test_one_filter_far_above_is_twice_the_next():
    def far(made):
        made.scores[0, 2] = 2.5

    def two_far(made):
        made.scores[:2, 2:] = 5

    assert look_verdict("one-far-above") == FAILS
    assert look_verdict("one-far-above", far) == HOLDS
    assert look_verdict("one-far-above", two_far) == UNTOLD  # of three filters it may seem so
    assert look_verdict("one-far-above", silence) == FAILS


def silence(made):
    made.scores[...] = 0


def test_filter_of_dark_airplanes_and_birds_on_bright():
    def dark_on_bright(made):
        best = [*of_class(made, "airplane")[:3], *of_class(made, "bird")[:2]]
        made.scores[best, 0] = 5
        made.properties["brightness in the border"][best] = 0.9
        made.properties["brightness in the centre"][best] = 0.2

    def bright_on_dark(made):
        dark_on_bright(made)
        made.properties["brightness in the border"][of_class(made, "bird")[0]] = 0.1

    assert look_verdict("airplanes-and-birds", dark_on_bright) == HOLDS
    assert look_verdict("airplanes-and-birds-learned", dark_on_bright, seeds=3) == HOLDS
    assert look_verdict("airplanes-and-birds", bright_on_dark) == FAILS

    def birds_only(made):
        made.scores[of_class(made, "bird")[:5], 0] = 5
        made.properties["brightness in the border"][:] = 0.9
        made.properties["brightness in the centre"][:] = 0.2

    assert look_verdict("airplanes-and-birds", birds_only) == FAILS


def by_class(made):
    shifts = np.random.default_rng(1).normal(0, 1, (10, NUM_FILTERS))
    made.scores[...] += shifts[made.labels]


def test_layer_adapts_where_it_tells_classes_better_than_untrained_ones():
    assert look_verdict("adapts", by_class, seeds=3) == HOLDS
    assert look_verdict("adapts", by_class, untrained=by_class, seeds=3) == UNTOLD
    assert look_verdict("adapts", untrained=by_class, seeds=3) == FAILS


def whole_layer(change=None):
    """One of as many images as the run has."""
    made = layer()
    made = Layer(
        np.repeat(made.scores, 5, axis=0),
        {name: np.repeat(values, 5) for name, values in made.properties.items()},
        np.repeat(np.arange(10), 1000),
        NAMES,
    )
    if change:
        change(made)
    return made


def check_maps(change=None):
    look = Look(whole_layer(change), [])
    return find("layer/maps-differ", look=look)


def test_right_images_of_two_classes_are_answered_differently_or_not():
    make_run("runs", ADAM)
    assert check_maps(by_class).verdict == HOLDS
    assert "of 800 automobiles, 800 frogs, 800 ships that are classified rightly" in (
        check_maps().evidence
    )
    assert check_maps().verdict == FAILS
    assert check_maps(silence).verdict == FAILS


def test_class_without_a_right_image_is_not_answered():
    make_run("runs", ADAM, accuracies={"frog": 0.0})
    found = check_maps(by_class)
    assert found.verdict == FAILS
    assert "not every class" in found.evidence


def test_untrained_layers_are_those_of_seeds_from_0():
    recipe = load_recipe(ADAM).with_values({"data.dataset": "shapes", "train.seed": 7})
    run = create_run(recipe, "runs")
    first, second = (made.scores for made in FirstLayers().untrained(run, 2))
    assert first.shape == (len(load_dataset("shapes").test_images), recipe.model.filters[0])
    assert not np.array_equal(first, second)
    (again,) = FirstLayers().untrained(run, 1)
    assert np.array_equal(again.scores, first)


def test_images_that_are_not_there_make_the_layer_uncheckable(tmp_path):
    make_run("runs", ADAM)
    found = audit("runs", tmp_path / "nowhere")
    claim = next(claim for claim in found.claims if claim.name == "layer/one-far-above")
    assert claim.verdict == UNCHECKABLE
    assert "cifar10" in claim.evidence.lower()


def test_readings_stand_beside_the_default_and_the_closest_is_named():
    two_seeds(FIRST, val_loss=curve(0.58, 20))
    make_run("runs", values={"model.pool_after": (1,)}, val_loss=curve(0.68, 6, end=0.9))
    names = [reading.name for reading in audit("runs").readings]
    assert names == ["every-block", "pool-after-1", "epoch-6", "train-at-best", "last-epoch"]
    claim = audited(f"{FIRST}/best_val_loss")
    assert claim.verdict == claim.readings[DEFAULT.name].verdict
    assert claim.readings["pool-after-1"].measured == pytest.approx(0.68)
    assert claim.readings["pool-after-1"].num_runs == 1
    assert claim.closest == "pool-after-1"


def test_evidence_says_which_reading_holds_instead():
    two_seeds(FIRST, val_loss=curve(0.58, 20, end=0.9))
    make_run("runs", values={"model.pool_after": (1,)}, val_loss=curve(0.68, 6, end=0.9))
    claim = audited(f"{FIRST}/best_epoch")
    assert claim.verdict == FAILS
    assert claim.evidence.endswith(" It holds by the reading pool-after-1.")


def test_run_counts_once_in_the_spread_of_two_readings():
    two_seeds(FIRST)
    found = evidence().results
    assert Evidence(found, found).spread(ACCURACY) == Evidence(found).spread(ACCURACY)


def test_accuracies_on_other_images_are_not_called_close():
    two_seeds(FIRST)
    claim = audited(f"{FIRST}/accuracy")
    assert "last-epoch" in claim.readings
    assert claim.closest is None


def test_accuracy_on_other_images_decides_nothing():
    two_seeds(FIRST)
    found = find(f"{FIRST}/accuracy", reading="last-epoch")
    assert found.verdict == UNCHECKABLE
    assert found.measured == 0.7  # of the validation images


def test_command_names_damaged_runs_that_it_leaves_out(invoke):
    two_seeds(FIRST)
    run = make_run("runs", seed=7)
    run.metrics_path.write_text("{}")
    _, _, remarks = invoke("audit")
    assert "Left out:" in remarks
    assert run.name in " ".join(remarks.split())


def test_runs_that_are_no_recipe_s_are_named_and_those_of_readings_are_not():
    two_seeds(FIRST)
    make_run("runs", values={"model.pool_after": (1,)})
    changed = make_run("runs", values={"model.dropout": 0.9})
    (problem,) = audit("runs").left_out
    assert changed.name in problem


def test_reading_of_an_epoch_says_nothing_about_classes_or_curves():
    two_seeds(FIRST)
    found = {claim.name: claim.readings for claim in audit("runs").claims}
    assert set(found[f"{FIRST}/accuracy"]) == {"every-block", "epoch-6", "last-epoch"}
    assert set(found[f"{FIRST}/cat"]) == {"every-block"}
    assert set(found[f"{FIRST}/overfitting"]) == {"every-block"}
    on_validation = found[f"{FIRST}/accuracy"]["last-epoch"]
    assert "This is accuracy on the validation images" in on_validation.evidence


def test_evidence_has_no_nan():
    two_seeds(FIRST, apart=0.0)
    for claim in audit("runs").claims:
        for found in claim.readings.values():
            assert found.measured is None or math.isfinite(found.measured)


def test_command_shows_verdicts_and_counts(invoke):
    two_seeds(FIRST)
    status, output, _ = invoke("audit", "--verdict", "contradicts")
    assert status == 0
    assert "the study contradicts" in " ".join(output.split())
    assert "does not hold" not in output
    assert f"Of {len(CLAIMS)} statements" in " ".join(output.split())


def test_command_gives_the_same_as_the_function(invoke):
    two_seeds(FIRST)
    status, output, _ = invoke("audit", "--json")
    assert status == 0
    assert json.loads(output) == audit("runs").model_dump(mode="json")


def test_verdict_is_taken_whole_before_it_is_taken_as_a_part(invoke):
    two_seeds(FIRST)
    shown = json.loads(invoke("audit", "--verdict", "Holds", "--json")[1])["claims"]
    assert {claim["verdict"] for claim in shown} == {HOLDS}
    shown = json.loads(invoke("audit", "--verdict", "hold", "--json")[1])["claims"]
    assert {claim["verdict"] for claim in shown} == {HOLDS, FAILS}


def test_directory_that_is_missing_is_said_to_be(invoke):
    status, _, remarks = invoke("audit", "--runs-dir", "nowhere")
    assert status == 1
    assert "There is no directory 'nowhere'" in remarks


def test_command_knows_its_verdicts(invoke):
    status, _, remarks = invoke("audit", "--verdict", "maybe")
    assert status == 1
    assert "cannot be told apart" in remarks
