"""Kernels and color maps as pictures."""

import numpy as np
import pytest

from kerascnn.show.pictures import color_levels, kernel_to_picture


def test_weight_of_zero_is_mid_gray_and_the_largest_weight_sets_the_scale():
    kernel = np.zeros((1, 3, 3))
    kernel[0, 0] = [2, -4, 0]
    kernel[0, 1] = [1, 1, 1]
    np.testing.assert_allclose(
        kernel_to_picture(kernel), [[[0.75, 0, 0.5], [0.625] * 3, [0.5] * 3]]
    )


@pytest.mark.parametrize("channels", [1, 2, 64])
def test_kernel_of_other_channels_than_three_is_the_gray_of_their_mean(channels):
    kernel = np.ones((2, 2, channels)) * [[[1], [-2]], [[0], [2]]]
    kernel[..., 0] += 1
    kernel[..., -1] -= 1
    picture = kernel_to_picture(kernel)
    np.testing.assert_allclose(picture[..., 0], [[0.75, 0], [0.5, 1]])
    np.testing.assert_array_equal(picture, np.repeat(picture[..., :1], 3, axis=2))


def test_kernel_of_zeros_is_gray_all_over():
    assert np.unique(kernel_to_picture(np.zeros((5, 5, 3)))).tolist() == [0.5]


def test_levels_go_from_one_end_of_the_color_map_to_the_other():
    levels = color_levels(48)
    assert (levels.shape, levels.dtype) == ((48, 3), np.uint8)
    assert levels[[0, -1]].tolist() == [[68, 1, 84], [253, 231, 37]]
