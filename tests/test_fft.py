"""ag.fft beyond the op table: inverses, adjoints of every length, dtypes, lengths and axes as in NumPy, errors."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import autograd_core as ag
from autograd_core import fft

NORMS = ["backward", "ortho", "forward"]
PAIRS = [("fft", "ifft"), ("rfft", "irfft"), ("ihfft", "hfft")]


def signal(rng: np.random.Generator, name: str, *shape: int) -> np.ndarray:
    """Numbers that the transform takes: real for rfft and ihfft."""
    x = rng.standard_normal(shape)
    return x if name.startswith(("rfft", "ihfft")) else x + 1j * rng.standard_normal(shape)


@pytest.mark.parametrize("norm", NORMS)
@pytest.mark.parametrize(("forth", "back"), PAIRS)
@given(n=st.integers(1, 40))
def test_inverses_undo(forth, back, norm, n):
    x = signal(np.random.default_rng(n), forth, 2, n)
    y = getattr(fft, forth)(ag.asarray(x), norm=norm)
    z = getattr(fft, back)(y, n=n, norm=norm)
    np.testing.assert_allclose(z.numpy(), x, atol=1e-12)


@pytest.mark.parametrize("name", ["fft", "ifft", "rfft", "irfft", "hfft", "ihfft"])
@given(length=st.integers(1, 12), n=st.integers(1, 12), norm=st.sampled_from(NORMS), axis=st.sampled_from([0, 1, -1]))
def test_values_and_adjoints_for_every_length(name, length, n, norm, axis):
    """<g, F t> = <F* g, t> for the real inner product, whatever is cut off or filled up."""
    rng = np.random.default_rng(100 * length + n)
    x = signal(rng, name, length, length)
    y, pull = ag.vjp(lambda x: getattr(fft, name)(x, n, axis, norm), ag.asarray(x))
    expected = getattr(np.fft, name)(x, n, axis, norm)
    np.testing.assert_allclose(y.numpy(), expected, atol=1e-12)
    g = rng.standard_normal(y.shape) + (1j * rng.standard_normal(y.shape) if y.dtype.kind == "c" else 0)
    t = signal(rng, name, length, length)
    (pulled,) = pull(ag.asarray(g))
    image = getattr(np.fft, name)(t, n, axis, norm)
    np.testing.assert_allclose(np.vdot(pulled.numpy(), t).real, np.vdot(g, image).real, atol=1e-10)


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("fftn", {}),
        ("fftn", {"axes": (0, 2)}),
        ("fftn", {"s": (2, 5), "axes": (2, 0)}),
        ("fftn", {"s": (-1, 5), "axes": (0, 1)}),
        ("ifftn", {"s": (2, 2, 9), "axes": (0, 1, 2), "norm": "ortho"}),
        ("fft2", {}),
        ("ifft2", {"axes": (0, 1), "norm": None}),
        ("rfftn", {"axes": (2, 1)}),
        ("rfftn", {"s": (3, 7), "axes": (-1, -2)}),
        ("irfftn", {}),
        ("irfftn", {"s": (4, 5), "axes": (2, 1)}),
        ("rfft2", {"s": (2, 3)}),
        ("irfft2", {"s": (2, 5)}),
    ],
)
def test_lengths_and_axes_are_read_as_numpy_reads_them(name, arguments):
    x = np.random.default_rng(0).standard_normal((3, 4, 5))
    y = getattr(fft, name)(ag.asarray(x), **arguments)
    expected = getattr(np.fft, name)(x, **arguments)
    assert y.dtype == expected.dtype
    np.testing.assert_allclose(y.numpy(), expected, atol=1e-12)


def test_lengths_alone_are_those_of_the_last_axes():
    x = np.random.default_rng(0).standard_normal((3, 4, 5))
    np.testing.assert_allclose(
        fft.fftn(ag.asarray(x), s=(2, 6)).numpy(), np.fft.fftn(x, s=(2, 6), axes=(1, 2)), atol=1e-12
    )


@pytest.mark.parametrize(
    ("dtype", "whole", "part"),
    [
        ("float16", "complex64", "float32"),
        ("float32", "complex64", "float32"),
        ("float64", "complex128", "float64"),
        ("int64", "complex64", "float32"),
        ("bool", "complex64", "float32"),
        ("complex64", "complex64", "float32"),
        ("complex128", "complex128", "float64"),
    ],
)
def test_dtypes(dtype, whole, part):
    x = ag.ones((4,), dtype=dtype)
    assert fft.fft(x).dtype == fft.ifftn(x).dtype == whole
    assert fft.irfft(x).dtype == fft.hfft(x).dtype == part
    if not dtype.startswith("complex"):
        assert fft.rfft(x).dtype == fft.ihfft(x).dtype == whole


def test_lists_and_0d():
    assert fft.fft([1.0, 2.0]).tolist() == [3, -1]
    assert fft.fftn(ag.tensor(2.0)).item() == 2
    assert fft.fftshift(ag.tensor(2.0)).item() == 2


def test_no_elements_beside_the_axis():
    y, pull = ag.vjp(lambda x: fft.rfft(x, 6), ag.zeros((0, 4)))
    assert (y.shape, y.dtype) == ((0, 4), np.complex64)
    assert pull(y)[0].shape == (0, 4)


def test_a_real_signal_gets_a_real_gradient():
    x = ag.tensor(np.arange(4.0), requires_grad=True)
    ag.abs(fft.fft(x)).sum().backward()
    assert x.grad.dtype == np.float64


def test_energy_is_kept():
    """Parseval: the gradient of the energy of the spectrum is that of the energy of the signal."""
    x = ag.tensor(np.random.default_rng(0).standard_normal(7), requires_grad=True)
    ag.square(ag.abs(fft.fft(x, norm="ortho"))).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), 2 * x.detach().numpy())


def test_a_convolution_through_the_spectrum():
    def convolve(x, w):
        return fft.irfft(fft.rfft(x, 8) * fft.rfft(w, 8), 8)

    x, w = np.random.default_rng(0).standard_normal((2, 4))
    np.testing.assert_allclose(convolve(ag.asarray(x), ag.asarray(w)).numpy()[:7], np.convolve(x, w), atol=1e-14)
    ag.check_grads(convolve, (x, w))


def test_frequencies_in_other_dtypes():
    assert fft.fftfreq(3).dtype == np.float32
    np.testing.assert_array_equal(fft.fftfreq(5, 0.5, dtype="float64").numpy(), np.fft.fftfreq(5, 0.5))
    np.testing.assert_array_equal(fft.rfftfreq(5, 0.5, dtype="float64").numpy(), np.fft.rfftfreq(5, 0.5))


X, Z = ag.ones((2, 3)), ag.ones((2, 3), dtype="complex64")


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (
            lambda: fft.fft(X, norm="unitary"),
            ag.ArgumentError,
            "norm is 'backward', 'ortho' or 'forward', got 'unitary'",
        ),
        (lambda: fft.fft(X, n=0), ag.ShapeError, "fft: n is 0: no point to transform"),
        (lambda: fft.fft(X, n=2.5), ag.ShapeError, "fft: n is 2.5: no point to transform; the length must be an int"),
        (lambda: fft.fft(ag.ones((2, 0))), ag.ShapeError, r"axis 1 of shape \(2, 0\) has no point to transform"),
        (lambda: fft.fft(X, axis=2), ag.ShapeError, "axis 2 is out of range"),
        (lambda: fft.fft(ag.tensor(1.0)), ag.ShapeError, "out of range"),
        (lambda: fft.fftn(X, axes=(0, -2)), ag.ShapeError, r"axes \(0, -2\) name an axis twice"),
        (lambda: fft.fftn(X, s=(2, 2), axes=(0,)), ag.ShapeError, "s gives 2 lengths for 1 axes"),
        (lambda: fft.fftn(X, s=(2, 2, 2)), ag.ShapeError, r"3 axes to transform, but x has shape \(2, 3\)"),
        (lambda: fft.fftn(X, s=4), ag.ArgumentError, "s must be a tuple of ints or None, got 4"),
        (lambda: fft.rfftn(X, axes=()), ag.ShapeError, r"no axis to transform: x has shape \(2, 3\)"),
        (lambda: fft.rfft(Z), ag.DTypeError, r"takes real numbers, got complex64\[2, 3\]; write ag\.fft\.fftn\(x\)"),
        (lambda: fft.ihfft(Z), ag.DTypeError, "ihfft: takes real numbers, got complex64"),
        (
            lambda: fft.irfft(Z[:, :1]),
            ag.ShapeError,
            r"would have 0 points along axis 1 of shape \(2, 1\); say how many",
        ),
        (lambda: fft.fftfreq(0), ag.ArgumentError, "n, the number of points, must be an int of at least 1, got 0"),
        (lambda: fft.rfftfreq(4, dtype="int64"), ag.DTypeError, "frequencies are floating, got dtype int64"),
    ],
)
def test_what_is_refused(call, error, message):
    with pytest.raises(error, match=message):
        call()
