"""Spatial functions and layers at their hard points."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from op_checks import Watcher

import autograd_core as ag
from autograd_core import context, nn
from autograd_core.nn import functional as F

zeros, ones = ag.zeros, ag.ones


def draw(*shape: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape)


# ------------------------------------------------------------------------------------- convolution


def complex_draw(*shape: int, seed: int) -> np.ndarray:
    return draw(*shape, seed=seed) + 1j * draw(*shape, seed=seed + 100)


def test_complex_convolution_has_derivatives_of_second_order() -> None:
    arrays = complex_draw(1, 2, 3, 2, seed=1), complex_draw(2, 1, 2, 2, seed=2), complex_draw(2, seed=3)
    ag.check_grads(lambda x, w, b: F.conv2d(x, w, b, padding=1, groups=2), arrays, order=2)
    ag.check_grads(lambda x, w: F.conv_transpose2d(x, w, stride=2), (arrays[0], arrays[1]), order=2)


def test_complex_convolution_is_that_of_its_parts() -> None:
    x, w = complex_draw(2, 3, 5, seed=4), complex_draw(2, 3, 2, seed=5)

    def real(a: np.ndarray, b: np.ndarray) -> np.ndarray:
        return F.conv1d(ag.asarray(np.ascontiguousarray(a)), ag.asarray(np.ascontiguousarray(b))).numpy()

    expected = real(x.real, w.real) - real(x.imag, w.imag) + 1j * (real(x.real, w.imag) + real(x.imag, w.real))
    np.testing.assert_allclose(F.conv1d(ag.asarray(x), ag.asarray(w)).numpy(), expected, rtol=1e-12)


class Noting(Watcher):
    """Notes the parameters of every primitive that runs on arrays, whatever transforms are open."""

    def __init__(self) -> None:
        super().__init__()
        self.ran: list[tuple[str, dict[str, Any]]] = []

    def run(self, primitive: Any, inputs: Any, params: dict[str, Any]) -> Any:
        self.ran.append((primitive.name, params))
        return super().run(primitive, inputs, params)


def noted(f: Callable[..., Any], *operands: Any) -> tuple[Any, list[tuple[str, dict[str, Any]]]]:
    """What ``f`` returns, and the primitives that it ran."""
    watcher = Noting()
    with context.scope(interpreter=watcher):
        return f(*operands), watcher.ran


@pytest.mark.parametrize("groups", [1, 2])
def test_gradients_of_the_weight_for_every_sample_are_one_grouped_convolution(groups: int) -> None:
    x, w = ag.asarray(draw(5, 4, 6, 6)), ag.asarray(draw(6, 4 // groups, 3, 3, seed=1))

    def loss(w: Any, sample: Any) -> Any:
        return (F.conv2d(sample, w, padding=1, groups=groups) ** 2).sum()

    found, ran = noted(ag.vmap(ag.grad(loss), in_axes=(None, 0)), w, x)
    assert [params["groups"] for name, params in ran if name == "convolution_weight"] == [5 * groups]
    for sample, gradient in zip(x, found, strict=True):
        np.testing.assert_allclose(gradient.numpy(), ag.grad(loss)(w, sample).numpy(), rtol=1e-10, atol=1e-12)


def test_transposed_convolution_is_the_gradient_of_convolution() -> None:
    x, w = draw(2, 3, 7, 6), draw(4, 3, 3, 2, seed=1)
    options = {"stride": 2, "padding": 1}
    y, pull = ag.vjp(lambda x: F.conv2d(x, ag.asarray(w), **options), ag.asarray(x))
    (expected,) = pull(y)
    found = F.conv_transpose2d(y, ag.asarray(w), output_padding=(0, 0), **options)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12)


def test_transposed_layers_draw_their_parameters_as_pytorch_does() -> None:
    torch = pytest.importorskip("torch")
    torch.manual_seed(0)
    for build in (lambda n: n.ConvTranspose2d(32, 16, 3, groups=2), lambda n: n.Conv3d(16, 20, 3)):
        with ag.random.fork(0):
            ours = build(nn)
        for a, b in zip(ours.parameters(), build(torch.nn).parameters(), strict=True):
            a, b = a.detach().numpy(), b.detach().numpy()
            assert abs(a.std() / b.std() - 1) < 6 / np.sqrt(b.size)
            assert a.min() >= -np.abs(b).max() * 1.3
            assert a.max() <= np.abs(b).max() * 1.3


def test_the_summary_counts_what_transposed_convolution_costs() -> None:
    layer = nn.ConvTranspose2d(4, 6, 3, stride=2, groups=2)
    inputs, outputs = 4 * 5 * 5, 6 * 11 * 11
    assert nn.summary(layer, (4, 5, 5), batch_size=1).flops == 2 * inputs * 3 * 9 + outputs  # and the bias


@pytest.mark.parametrize(
    "build",
    [
        lambda n: n.Conv3d(2, 4, 3, padding=1, groups=2, padding_mode="reflect"),
        lambda n: n.ConvTranspose2d(2, 4, 3, 2, 1, 1, 2, False, 1),
        lambda n: n.Upsample(scale_factor=2),
        lambda n: n.Upsample(size=(2, 3), mode="bilinear"),
        lambda n: n.Unfold(3, stride=2),
        lambda n: n.Fold(4, 2),
        lambda n: n.ReflectionPad2d(1),
        lambda n: n.ConstantPad1d(1, 2.0),
        lambda n: n.ZeroPad2d((1, 2, 3, 4)),
        lambda n: n.PixelShuffle(2),
        lambda n: n.ChannelShuffle(2),
        lambda n: n.LPPool2d(2, 3),
        lambda n: n.AdaptiveMaxPool2d(3),
        lambda n: n.AvgPool3d(2),
    ],
)
def test_layers_print_what_pytorchs_print(build: Callable[[Any], Any]) -> None:
    torch = pytest.importorskip("torch")
    assert repr(build(nn)) == repr(build(torch.nn))


# ------------------------------------------------------------------------------------------ pooling


@pytest.mark.parametrize("pool", [F.max_pool3d, F.avg_pool3d])
def test_pooling_of_volumes_in_float32_agrees_with_planes(pool: Callable[..., Any]) -> None:
    x = draw(2, 3, 1, 9, 8).astype(np.float32)
    planes = {F.max_pool3d: F.max_pool2d, F.avg_pool3d: F.avg_pool2d}[pool]
    found = pool(ag.asarray(x), (1, 3, 2), stride=(1, 2, 2), padding=(0, 1, 1)).numpy()
    expected = planes(ag.asarray(x[:, :, 0]), (3, 2), stride=2, padding=1).numpy()
    np.testing.assert_allclose(found[:, :, 0], expected, rtol=1e-6, atol=1e-6)
    assert found.dtype == np.float32


def test_a_nan_is_the_maximum_of_its_window_alone() -> None:
    x = draw(1, 1, 5, 5)
    x[0, 0, 0, 0] = np.nan
    for y in (F.max_pool2d(ag.asarray(x), 2), F.adaptive_max_pool2d(ag.asarray(x), 2)):
        assert np.isnan(y.numpy()).tolist() == [[[[True, False], [False, False]]]]
    samples = np.full((1, 1, 2), 0.5)
    y = F.fractional_max_pool2d(ag.asarray(x), 2, 3, _random_samples=samples).numpy()
    assert np.isnan(y).sum() == 1


def test_of_two_values_for_one_place_the_last_stays_and_alone_has_a_gradient() -> None:
    x = ag.tensor([[[1.0, 2.0]]], requires_grad=True)
    y = F.max_unpool1d(x, ag.tensor([[[3, 3]]]), 2)
    assert y.tolist() == [[[0.0, 0.0, 0.0, 2.0]]]
    y.sum().backward()
    assert x.grad.tolist() == [[[0.0, 1.0]]]


def test_unpooling_undoes_pooling_where_the_maxima_were() -> None:
    x = ag.asarray(draw(2, 3, 7, 6))
    y, index = F.max_pool2d(x, 3, 2, return_indices=True)
    back = F.max_unpool2d(y, index, 3, 2, output_size=x.shape).numpy()
    chosen = back != 0
    np.testing.assert_array_equal(back[chosen], x.numpy()[chosen])
    assert np.isin(y.numpy(), back).all()


def test_norm_pooling_of_zeros_has_a_gradient_of_zero() -> None:
    x = ag.tensor([[[0.0, 0.0, 3.0, 4.0]]], requires_grad=True)
    y = F.lp_pool1d(x, 2, 2)
    y.sum().backward()
    assert y.tolist() == [[[0.0, 5.0]]]
    np.testing.assert_allclose(x.grad.numpy(), [[[0.0, 0.0, 0.6, 0.8]]], rtol=1e-6)


def test_fractional_pooling_draws_from_the_generator_and_stays_inside() -> None:
    x = ag.asarray(draw(2, 3, 11, 9))
    with ag.random.fork(3):
        first = F.fractional_max_pool2d(x, (2, 3), (4, 5))
    with ag.random.fork(3):
        again = F.fractional_max_pool2d(x, (2, 3), (4, 5))
    np.testing.assert_array_equal(first.numpy(), again.numpy())
    other = F.fractional_max_pool2d(x, (2, 3), (4, 5), generator=ag.random.Generator(8))
    assert not np.array_equal(first.numpy(), other.numpy())
    assert np.isin(first.numpy(), x.numpy()).all()


# --------------------------------------------------------------------------------------- resampling


@pytest.mark.parametrize("mode", ["nearest", "bilinear", "bicubic", "area"])
def test_what_is_not_a_number_spreads_to_its_neighbours_alone(mode: str) -> None:
    x = draw(1, 1, 8, 8)
    x[0, 0, 0, 0], x[0, 0, 7, 7] = np.nan, np.inf
    y = F.interpolate(ag.asarray(x), size=(11, 5), mode=mode).numpy()
    assert np.isfinite(y[0, 0, 3:8, :]).all()
    assert np.isfinite(y[0, 0, :3, -1]).all()


def test_resampling_to_the_same_size_is_the_input_itself() -> None:
    x = ag.asarray(draw(1, 2, 4, 5))
    for options in ({"size": (4, 5)}, {"scale_factor": 1.0}, {"size": (4, 5), "mode": "bilinear"}):
        assert F.interpolate(x, **options) is x


def test_the_gradient_of_resampling_is_resampling() -> None:
    x = ag.asarray(draw(1, 1, 4, 5))
    _, ran = noted(ag.grad(lambda x: F.interpolate(x, size=(7, 3), mode="bicubic").sum()), x)
    assert [params["transposed"] for name, params in ran if name == "resample"] == [False, False, True, True]
    assert not {"take", "add_at", "matmul"} & {name for name, _ in ran}


def test_integers_keep_their_dtype_where_nothing_is_averaged() -> None:
    x = ag.tensor([[[1, 2, 3]]])
    assert F.interpolate(x, size=5).dtype == ag.int64
    assert F.interpolate(x, size=5).tolist() == [[[1, 1, 2, 2, 3]]]
    assert F.interpolate(x, size=5, mode="linear").dtype == ag.float32
    assert F.max_pool1d(x, 2, 1).dtype == ag.int64
    assert F.pixel_shuffle(ones((4, 1, 1), dtype="int32"), 2).dtype == ag.int32


def sizes_and_modes() -> list[Any]:
    rng = np.random.default_rng(7)
    modes = ["nearest", "nearest-exact", "bilinear", "bicubic"]
    return [
        (modes[i % 4], tuple(rng.integers(1, 24, 2)), tuple(rng.integers(2, 30, 2)), bool(rng.integers(2)))
        for i in range(60)
    ]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_sizes_at_random_are_resampled_as_pytorch_does(dtype: str) -> None:
    torch = pytest.importorskip("torch")
    for mode, size, output, flag in sizes_and_modes():
        x = draw(1, 2, *size).astype(dtype)
        options: dict[str, Any] = {"size": tuple(map(int, output)), "mode": mode}
        if mode.startswith("bi"):
            options |= {"align_corners": flag}
        expected = torch.nn.functional.interpolate(torch.from_numpy(x), **options).numpy()
        tolerance = {"float32": 1e-4, "float64": 1e-9}[dtype]
        found = F.interpolate(ag.asarray(x), **options).numpy()
        assert found.dtype == expected.dtype
        np.testing.assert_allclose(found, expected, rtol=tolerance, atol=tolerance, err_msg=f"{options} of {size}")


@pytest.mark.parametrize("padding_mode", ["zeros", "border", "reflection"])
@pytest.mark.parametrize("mode", ["bilinear", "nearest", "bicubic"])
def test_places_that_are_no_numbers_or_far_away_are_sampled_without_harm(mode: str, padding_mode: str) -> None:
    x = ag.tensor(draw(1, 2, 3, 4), requires_grad=True)
    places = np.array([np.nan, np.inf, -np.inf, 1e30, -7.3, 0.2])
    grid = ag.tensor(np.stack([places, places[::-1]], axis=-1).reshape(1, 2, 3, 2), requires_grad=mode != "nearest")
    y = F.grid_sample(x, grid, mode, padding_mode, False)
    assert np.isfinite(y.detach().numpy()).all()
    y.sum().backward()
    assert np.isfinite(x.grad.numpy()).all()


def test_an_infinite_image_stays_infinite_where_it_is() -> None:
    x = np.zeros((1, 1, 3, 3))
    x[0, 0, 2, 2] = np.inf
    grid = np.array([[[[-1.0, -1.0], [5.0, 5.0], [1.0, 1.0]]]])
    y = F.grid_sample(ag.asarray(x), ag.asarray(grid), align_corners=True).numpy()
    assert y.reshape(-1).tolist() == [0.0, 0.0, np.inf]


def test_the_identity_of_affine_grid_samples_the_image_itself() -> None:
    x = ag.asarray(draw(2, 3, 4, 5))
    theta = ag.asarray(np.tile(np.eye(2, 3), (2, 1, 1)))
    for corners in (False, True):
        grid = F.affine_grid(theta, x.shape, align_corners=corners)
        np.testing.assert_allclose(F.grid_sample(x, grid, align_corners=corners).numpy(), x.numpy(), atol=1e-12)


# ------------------------------------------------------------------------------------------ folding


def test_convolution_is_a_product_with_unfolded_windows() -> None:
    x, w = ag.asarray(draw(2, 3, 6, 5)), ag.asarray(draw(4, 3, 3, 2, seed=1))
    columns = F.unfold(x, (3, 2), dilation=1, padding=1, stride=2)
    expected = F.conv2d(x, w, padding=1, stride=2)
    found = (w.reshape((4, -1)) @ columns).reshape(expected.shape)
    np.testing.assert_allclose(found.numpy(), expected.numpy(), rtol=1e-12, atol=1e-12)


def test_shuffles_are_undone() -> None:
    x = ag.asarray(draw(2, 8, 3, 4))
    np.testing.assert_array_equal(F.pixel_unshuffle(F.pixel_shuffle(x, 2), 2).numpy(), x.numpy())
    np.testing.assert_array_equal(F.channel_shuffle(F.channel_shuffle(x, 2), 4).numpy(), x.numpy())


def test_volumes_of_one_plane_are_padded_as_planes_are() -> None:
    x = ag.asarray(draw(1, 2, 1, 3, 4))
    for mode in ("constant", "reflect", "replicate", "circular"):
        volume = F.pad(x, (1, 2, 0, 1, 0, 0), mode).numpy()
        np.testing.assert_array_equal(volume[:, :, 0], F.pad(x[:, :, 0], (1, 2, 0, 1), mode).numpy())
