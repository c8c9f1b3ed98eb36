"""Random tensors: constants as far as derivatives go, and functions of seed, call and place as far as values go."""

import numpy as np

import autograd_core as ag
from autograd_core.backend import get_device
from autograd_core.ops import philox, random
from autograd_core.primitive import bind

from .case import OpCase, uniform

SEED, CALL = 12, 3


def generator() -> ag.random.Generator:
    """A fresh generator at one place of one stream."""
    g = ag.random.Generator(SEED)
    g.load_state_dict({"seed": SEED, "call": CALL})
    return g


def words(size: int) -> list[int]:
    return philox.random_words(np, SEED, CALL, size).tolist()


def bits(size: int) -> list[int]:
    return philox.random_bits(np, SEED, CALL, size).tolist()


def draws(draw, x: ag.Tensor, policy: str) -> ag.Tensor:
    """What the examples ``x`` draw: numbers of their own ("different"), or all the same."""
    with ag.random.fork(generator()):
        return ag.vmap(draw, randomness=policy)(x)


def below(p: np.ndarray, shape: tuple[int, ...], policy: str) -> np.ndarray:
    """For every example whether its words are below its probabilities; with "same" all have the first one's words."""
    size = int(np.prod(shape))
    words = np.array(bits(len(p) * size if policy == "different" else size)).reshape(-1, *shape)
    p = p.reshape(len(p), *(1,) * (len(shape) + 1 - p.ndim), *p.shape[1:])
    return np.broadcast_to(words, (len(p), *shape)) < np.round(p * 2**32)


def case(name, fn, reference, make=lambda rng: ()) -> OpCase:
    return OpCase(
        name,
        fn,
        make=make,
        reference=reference,
        no_torch="PyTorch draws other numbers",
        differentiable=(),
        why_not="what is drawn depends on no operand smoothly",
        own_dtype="that of the draw",
    )


CASES = [
    case(
        "random.uniform",
        lambda: ag.random.uniform((2, 3), generator=generator()),
        lambda: np.array([(w >> 8) / 2**24 for w in bits(6)], np.float32).reshape(2, 3),
    ),
    case(
        "random.uniform/bounds",
        lambda: ag.random.uniform((5,), -1.0, 3.0, dtype="float64", generator=generator()),
        lambda: np.array([(w >> 11) / 2**53 * 4 - 1 for w in words(5)]),
    ),
    case(
        "random.normal",
        lambda: ag.random.normal((4, 2), generator=generator()),
        lambda: philox.normal_float32(np, SEED, CALL, 8).reshape(4, 2),
    ),
    case(
        "random.normal/moments",
        lambda: ag.random.normal((7,), 2.0, 0.5, dtype="float64", generator=generator()),
        lambda: philox.normal_float64(np, SEED, CALL, 7) * 0.5 + 2.0,
    ),
    case(
        "random.normal/scalar",
        lambda: ag.random.normal(dtype="float64", generator=generator()),
        lambda: philox.normal_float64(np, SEED, CALL, 1)[0],
    ),
    case(
        "random.bernoulli",
        lambda: ag.random.bernoulli(0.3, (3, 3), generator=generator()),
        lambda: np.array([w < 0.3 * 2**32 for w in bits(9)]).reshape(3, 3),
    ),
    case(
        "random.bits",
        lambda: bind(random.random_bits_p, (generator().take(get_device(None)),), {"shape": (2, 3)}),
        lambda: np.array(bits(6), np.uint32).reshape(2, 3),
    ),
    case(
        "random.bernoulli/each",
        lambda p: ag.random.bernoulli(p, (2, 4), generator=generator()),
        lambda p: np.array(bits(8)).reshape(2, 4) < np.round(p * 2**32),
        make=lambda rng: (uniform(0.0, 1.0, 4)(rng),),
    ),
    case(
        "random.integers",
        lambda: ag.random.integers(-3, 8, (6,), generator=generator()),
        lambda: np.array([-3 + (w * 11 >> 32) for w in bits(6)]),
    ),
    case(
        "random.integers/wide",
        lambda: ag.random.integers(0, 10**12, (5,), generator=generator()),
        lambda: np.array([w * 10**12 >> 64 for w in words(5)]),
    ),
    case(
        "random.permutation",
        lambda: ag.random.permutation(9, generator=generator()),
        lambda: np.argsort(words(9)),
    ),
    # under vmap: examples with draws of their own get the rows of one draw for all
    *[
        case(
            f"random.{name}/examples of their own",
            lambda x, draw=draw: draws(draw, x, "different"),
            lambda x, expected=expected: expected()[: len(x)],
            make=lambda rng: (np.arange(3),),
        )
        for name, draw, expected in (
            (
                "uniform",
                lambda _: ag.random.uniform((2,)),
                lambda: philox.uniform_float32(np, SEED, CALL, 6).reshape(3, 2),
            ),
            (
                "normal",
                lambda _: ag.random.normal((2,)),
                lambda: philox.normal_float32(np, SEED, CALL, 6).reshape(3, 2),
            ),
            (
                "integers",
                lambda _: ag.random.integers(0, 9, (2,)),
                lambda: np.array([w * 9 >> 32 for w in bits(6)]).reshape(3, 2),
            ),
            (
                "permutation",
                lambda _: ag.random.permutation(5),
                lambda: np.argsort(philox.uniform_float64(np, SEED, CALL, 15).reshape(3, 5), axis=1),
            ),
            (
                "bernoulli",
                lambda _: ag.random.bernoulli(0.3, (2, 2)),
                lambda: np.array([w < 0.3 * 2**32 for w in bits(12)]).reshape(3, 2, 2),
            ),
            (
                "bernoulli/probabilities",
                lambda _: ag.random.bernoulli(ag.tensor([0.2, 0.8])),
                lambda: np.array(bits(6)).reshape(3, 2) < np.round(np.float32([0.2, 0.8]).astype(float) * 2**32),
            ),
            (
                "bits",
                lambda _: bind(
                    random.random_bits_p, (ag.random.default_generator().take(get_device(None)),), {"shape": (2,)}
                ),
                lambda: np.array(bits(6), np.uint32).reshape(3, 2),
            ),
        )
    ],
    *[
        case(
            f"random.bernoulli/{policy}, {variant}",
            lambda p, policy=policy, shape=shape: draws(lambda p: ag.random.bernoulli(p, shape), p, policy),
            lambda p, policy=policy, shape=shape: below(p, shape, policy),
            make=lambda rng, inner=inner: (uniform(0.0, 1.0, 3, *inner)(rng),),
        )
        for policy in ("different", "same")
        for variant, inner, shape in (("a number", (), (2, 4)), ("an array", (2, 4), (2, 4)), ("a row", (4,), (2, 4)))
    ],
]
