"""What numbers say about a classifier, each worked out by hand."""

import numpy as np
import pytest
from made.records import make_history

from kerascnn.evaluation import metrics

NAMES = ["cat", "dog"]
HEALTHY = np.array([[40, 10], [10, 40]])


def history(val_loss, loss=None):
    return make_history(list(val_loss), list(val_loss if loss is None else loss))


def kinds(found):
    return [finding.kind for finding in found]


def test_accuracy_is_the_share_that_is_right():
    assert metrics.accuracy(np.array([0, 1, 2, 1]), np.array([0, 1, 1, 1])) == 0.75


def test_accuracy_of_no_images_is_none():
    assert metrics.accuracy(np.array([], int), np.array([], int)) is None


def test_cross_entropy_is_the_mean_of_minus_log_of_the_label():
    probabilities = np.array([[0.5, 0.5], [0.75, 0.25]], "float32")
    # (ln 2 + ln 4) / 2
    assert metrics.cross_entropy(np.array([0, 1]), probabilities) == pytest.approx(1.0397207708)


def test_cross_entropy_of_a_certain_error_is_finite():
    certain = np.array([[1.0, 0.0]], "float32")
    # -ln 1e-7
    assert metrics.cross_entropy(np.array([1]), certain) == pytest.approx(16.118095651)


def test_confusion_has_true_classes_in_rows():
    confusion = metrics.confusion_matrix(np.array([0, 0, 1, 2]), np.array([0, 1, 1, 0]), 3)
    assert confusion.tolist() == [[1, 1, 0], [0, 1, 0], [1, 0, 0]]
    assert confusion.dtype == np.int64


def test_confusion_does_not_overflow_small_integers():
    labels = np.array([99], "uint8")
    assert metrics.confusion_matrix(labels, labels, 100)[99, 99] == 1


@pytest.mark.parametrize(
    ("successes", "trials", "low", "high"),
    [
        # z = 1.959963985; (p + z²/2n ± z sqrt(p(1-p)/n + z²/4n²)) / (1 + z²/n)
        (8, 10, 0.4901625, 0.9433178),
        (640, 1000, 0.6097662, 0.6691623),
        (0, 10, 0.0, 0.2775328),  # z² / (n + z²)
        (10, 10, 0.7224672, 1.0),
    ],
)
def test_wilson_interval_is_as_worked_out(successes, trials, low, high):
    assert metrics.wilson_interval(successes, trials) == pytest.approx((low, high), abs=1e-7)


def test_wilson_interval_of_no_trials_is_everything():
    assert metrics.wilson_interval(0, 0) == (0.0, 1.0)


def test_per_class_is_recall_with_its_interval():
    first, second = metrics.per_class(np.array([[8, 2], [0, 4]]), NAMES, {"dog": 0.9})
    assert (first.name, first.accuracy, first.count, first.reported) == ("cat", 0.8, 10, None)
    assert (first.low, first.high) == pytest.approx((0.4901625, 0.9433178))
    assert (second.accuracy, second.count, second.reported) == (1.0, 4, 0.9)


def test_class_without_images_has_no_accuracy_and_the_widest_interval():
    row = metrics.per_class(np.array([[3, 1], [0, 0]]), NAMES, {})[1]
    assert (row.accuracy, row.low, row.high, row.count) == (None, 0.0, 1.0, 0)


def test_paired_comparison_counts_images_that_only_one_has_right():
    labels = np.zeros(10, int)
    a, b = np.ones(10, int), np.ones(10, int)
    a[:3] = 0  # a has 0-2 right, b has 2-8
    b[2:9] = 0
    found = metrics.compare_paired(labels, a, b)
    # Of 8 images that one alone has right a has 2: 2 (1 + 8 + 28) / 2⁸
    assert found == metrics.PairedTest(0.4, 2, 6, pytest.approx(74 / 256))


def test_paired_comparison_is_symmetric_but_for_its_sign():
    labels, a, b = np.array([0, 0, 1]), np.array([0, 1, 0]), np.array([0, 0, 1])
    one, other = metrics.compare_paired(labels, a, b), metrics.compare_paired(labels, b, a)
    assert one.p_value == other.p_value == 0.5  # 2 of 2: 2 / 2²
    assert one.difference == -other.difference == 2 / 3


def test_classifiers_that_are_wrong_alike_differ_by_nothing():
    labels, given = np.array([0, 1]), np.array([0, 0])
    assert metrics.compare_paired(labels, given, given) == metrics.PairedTest(0.0, 0, 0, 1.0)


def test_paired_comparison_of_no_images_has_no_difference():
    none = np.array([], int)
    found = metrics.compare_paired(none, none, none)
    assert (found.difference, found.p_value) == (None, 1.0)


def test_holm_multiplies_by_the_hypotheses_left_and_never_falls():
    # Sorted: .01 x 4 = .04, .02 x 3 = .06, .03 x 2 = .06, .6 x 1 = .6
    assert metrics.holm([0.03, 0.01, 0.6, 0.02]) == pytest.approx([0.06, 0.04, 0.6, 0.06])
    # .02 x 3 = .06, then .025 x 2 = .05 is raised to .06
    assert metrics.holm([0.025, 0.9, 0.02]) == pytest.approx([0.06, 0.9, 0.06])


def test_holm_stays_below_one():
    assert metrics.holm([0.5, 0.7]) == [1.0, 1.0]


def test_holm_of_nothing_is_nothing():
    assert metrics.holm([]) == []


def test_healthy_run_has_no_findings():
    assert metrics.diagnose(history([3, 2, 1.0, 1.01, 1.02]), HEALTHY, NAMES) == ()


def test_collapse_names_the_class_and_silences_the_rest():
    found = metrics.diagnose(history([1, 2, 3], [3, 2, 1]), np.array([[0, 50], [0, 50]]), NAMES)
    assert kinds(found) == ["collapsed"]
    assert (found[0].class_name, found[0].share) == ("dog", 1.0)
    assert "100.0% of the images are called dog" in found[0].message


@pytest.mark.parametrize(("others", "collapsed"), [(1, True), (2, False)])
def test_collapse_begins_at_99_percent(others, collapsed):
    confusion = np.array([[50, others], [50 - others, 0]])
    found = metrics.diagnose(history([3, 1, 1.01]), confusion, NAMES)
    assert (kinds(found) == ["collapsed"]) is collapsed


def test_one_class_alone_does_not_collapse():
    assert metrics.diagnose(history([3, 1, 1.01]), np.array([[7]]), ["cat"]) == ()


def test_overfitting_says_since_when_and_how_far_apart():
    val_loss, loss = [1.0, 0.7, 0.75, 0.9], [1.1, 0.8, 0.5, 0.2]
    (found,) = metrics.diagnose(history(val_loss, loss), HEALTHY, NAMES)
    assert (found.kind, found.since_epoch) == ("overfitting", 2)
    assert found.gap == pytest.approx(0.7)
    assert "since epoch 2: validation loss rose from 0.700 to 0.900" in found.message


@pytest.mark.parametrize(("last", "expected"), [(1.0499, []), (1.0501, ["overfitting"])])
def test_overfitting_begins_5_percent_above_the_best(last, expected):
    found = metrics.diagnose(history([2, 1.0, last], [2, 1.0, 0.5]), HEALTHY, NAMES)
    assert kinds(found) == expected


def test_validation_loss_that_rises_with_training_loss_is_not_overfitting():
    assert metrics.diagnose(history([2, 1.0, 3], [2, 1.0, 1.0]), HEALTHY, NAMES) == ()


@pytest.mark.parametrize(("best", "expected"), [(18, []), (19, ["still_improving"])])
def test_still_improving_where_the_best_is_in_the_last_tenth(best, expected):
    val_loss = [1.0] * 20
    val_loss[best - 1] = 0.99
    found = metrics.diagnose(history(val_loss), HEALTHY, NAMES)
    assert kinds(found) == expected
    assert all(finding.best_epoch == best for finding in found)


def test_single_epoch_is_still_improving():
    (found,) = metrics.diagnose(history([2.0]), HEALTHY, NAMES)
    assert (found.kind, found.best_epoch) == ("still_improving", 1)
    assert "epoch 1 of 1" in found.message


def test_one_noisy_last_epoch_is_not_overfitting():
    loss = np.linspace(1.0, 0.2, 30).tolist()
    val_loss = [*np.linspace(1.0, 0.5, 20), *[0.5] * 9, 0.6]
    assert metrics.diagnose(history(val_loss, loss), HEALTHY, NAMES) == ()
    val_loss[-2:] = [0.6, 0.6]
    assert metrics.diagnose(history(val_loss, loss), HEALTHY, NAMES)[0].kind == "overfitting"


def test_validation_loss_below_training_loss_is_not_overfitting():
    assert metrics.diagnose(history([0.5] + [0.56] * 9, [0.7] * 9 + [0.6]), HEALTHY, NAMES) == ()


def test_run_that_overfits_is_not_told_to_train_longer():
    val_loss, loss = [1.0] * 18 + [0.9, 1.2], [1.0] * 19 + [0.5]
    assert kinds(metrics.diagnose(history(val_loss, loss), HEALTHY, NAMES)) == ["overfitting"]


def test_spread_is_pooled_within_groups():
    spread = metrics.pooled_spread([[1.0, 3.0], [10.0, 10.0, 10.0], [5.0]])
    assert spread.df == 3
    assert spread.sd == pytest.approx(np.sqrt(2 / 3))
    assert metrics.pooled_spread([[1.0], []]) is None


def test_prediction_margin_is_students():
    spread = metrics.Spread(sd=2.0, df=4)
    assert spread.margin(3) == pytest.approx(2.7764 * 2 * np.sqrt(1 / 3 + 1), rel=1e-4)
    assert spread.margin(4, np.inf) == pytest.approx(2.7764 * 2 / 2, rel=1e-4)


def test_prediction_margin_covers_one_new_run_in_95_of_100_cases():
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(2000):
        *known, new = random.normal(0, 1, 4)
        hits += abs(new - np.mean(known)) <= metrics.pooled_spread([known]).margin(3)
    assert 0.94 < hits / 2000 < 0.96


def test_noise_of_an_epoch_is_found_on_a_trend():
    random = np.random.default_rng(0)
    losses = list(np.linspace(2, 1, 400) + random.normal(0, 0.03, 400))
    assert metrics.epoch_noise(losses) == pytest.approx(0.03, rel=0.15)
    assert metrics.epoch_noise([1.0, 0.9, 0.8, 0.7]) is None


def test_noise_seldom_seems_to_turn_up():
    random = np.random.default_rng(0)
    seems = 0
    for _ in range(1000):
        found = metrics.trend_after_lowest(list(random.normal(0.6, 0.03, 25)))
        slope, margin = metrics.mean_trend([found]) if found else (0, 1)
        seems += slope > margin
    assert seems / 1000 < 0.035


def test_mean_trend_covers_the_slope_in_95_of_100_cases():
    random = np.random.default_rng(0)
    hits = 0
    for _ in range(1000):
        curves = np.linspace(1, 0.5, 5) + random.normal(0, 0.1, (3, 5))
        slope, margin = metrics.mean_trend([metrics.trend(list(curve)) for curve in curves])
        hits += abs(slope + 0.125) <= margin
    assert 0.93 < hits / 1000 < 0.98


def test_curve_without_epochs_after_its_lowest_has_no_trend():
    assert metrics.trend_after_lowest([3.0, 2.0]) is None
    assert metrics.trend_after_lowest(list(np.linspace(2, 1, 25))) is None
