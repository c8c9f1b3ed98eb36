"""REINFORCE with a learnt baseline balances a pole on a cart.

    python examples/policy_gradient.py [--epochs 200]

An epoch plays one episode in each of 16 carts side by side, and then takes one step along the gradient of the expected
return, sum_t (G_t - b(s_t)) grad log p(a_t | s_t): G_t is the discounted return from there on, b a net that foresees it
from the state. Williams, Simple statistical gradient-following algorithms for connectionist reinforcement learning,
1992. CartPole-v1 of gymnasium, whose reward is 1 a step for at most 500 steps, counts as solved at a mean of 475.
"""

from __future__ import annotations

from collections.abc import Callable

import common
import numpy as np
import pictures

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.nn import functional as F

try:
    import gymnasium
except ImportError:
    raise SystemExit(
        "policy_gradient.py needs the cart and pole of gymnasium, which is not installed here: "
        "pip install 'autograd-core[examples]', or pip install gymnasium"
    ) from None

CARTS, LONGEST = 16, 500
DISCOUNT, HIDDEN, RATE = 0.995, 64, 5e-3
RETURN = 1 / (1 - DISCOUNT)  # of a pole that never falls: what the baseline counts in


def play(carts: gymnasium.vector.VectorEnv, act: Callable, seed: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """An episode in each cart: states (T, N, 4), actions (T, N), and whether that cart was still playing (T, N)."""
    state, _ = carts.reset(seed=seed)
    states = np.zeros((LONGEST, *state.shape), np.float32)
    actions, playing = np.zeros(states.shape[:2], np.int64), np.zeros(states.shape[:2], bool)
    going = np.ones(carts.num_envs, bool)
    for step in range(LONGEST):
        action = act(state).numpy()
        states[step], actions[step], playing[step] = state, action, going
        state, _, fell, late, _ = carts.step(action)
        going = going & ~(fell | late)
        if not going.any():
            break
    return states, actions, playing


def returns(playing: np.ndarray) -> np.ndarray:
    """G_t = sum over k of DISCOUNT^k for each step k from t on, (T, N)."""
    found, after = np.zeros(playing.shape, np.float32), np.zeros(playing.shape[1])
    for step in reversed(range(len(playing))):
        found[step] = after = playing[step] * (1 + DISCOUNT * after)
    return found


def main() -> None:
    parser = common.arguments(__doc__, epochs=200, quick_epochs=4)
    args = parser.parse_args()
    policy, baseline = (nn.Sequential(nn.Linear(4, HIDDEN), nn.Tanh(), nn.Linear(HIDDEN, n)) for n in (2, 1))
    nets = nn.ModuleList([policy, baseline]).to(args.device)
    optimizer = optim.Adam(nets.parameters(), lr=optim.schedules.linear(RATE, RATE / 10, args.epochs))

    def act(states: ag.Tensor) -> ag.Tensor:
        with ag.no_grad():
            scores = policy(states)
            noise = ag.random.uniform(scores.shape, 1e-7, 1.0, device=args.device)
            return (scores - ag.log(-ag.log(noise))).argmax(axis=1)  # each as often as the softmax says

    def update(states: ag.Tensor, actions: ag.Tensor, gains: ag.Tensor, weights: ag.Tensor) -> ag.Tensor:
        """weights: 1 / (steps played) for those that were, 0 for others, so that all batches have one shape."""
        optimizer.zero_grad()
        foreseen = baseline(states).squeeze(1)
        advantage = (gains - foreseen).detach()
        mean = (advantage * weights).sum()
        advantage = (advantage - mean) / (((advantage - mean) ** 2 * weights).sum().sqrt() + 1e-6)
        logs = F.log_softmax(policy(states), dim=1)
        taken = ag.take_along_axis(logs, actions[:, None], axis=1).squeeze(1)
        loss = ((0.5 * (gains - foreseen) ** 2 - advantage * taken) * weights).sum()
        loss.backward()
        optim.clip_grad_norm_(nets.parameters(), 1.0)
        optimizer.step()
        return loss

    if args.compile:
        act, update = ag.compile(act), ag.compile(update)

    def chosen(states: np.ndarray) -> ag.Tensor:
        return act(ag.asarray(states, device=args.device))

    carts = gymnasium.make_vec("CartPole-v1", num_envs=CARTS, vectorization_mode="vector_entry_point")
    lengths = []
    for epoch in range(args.epochs):
        states, actions, playing = play(carts, chosen, seed=1000 * args.seed + epoch)
        weights = (playing / playing.sum()).astype(np.float32)
        arrays = (states.reshape(-1, 4), actions.ravel(), (returns(playing) / RETURN).ravel(), weights.ravel())
        update(*(ag.asarray(array, device=args.device) for array in arrays))
        lengths.append(playing.sum(axis=0))
        if (epoch + 1) % 10 == 0 or epoch + 1 == args.epochs:
            print(f"epoch {epoch + 1}/{args.epochs}: mean return {np.mean(lengths[-10:]):.1f} of the last ten epochs")

    tests = gymnasium.make_vec("CartPole-v1", num_envs=100, vectorization_mode="vector_entry_point")
    test = play(tests, chosen, seed=10**6 + args.seed)[2].sum(axis=0)
    path = args.out / "policy_gradient.png"
    played = np.array(lengths)
    series = {"mean of 16 episodes": played.mean(axis=1), "worst": played.min(axis=1), "best": played.max(axis=1)}
    pictures.curves(series, path, x="epoch", y="return")
    print(f"{path}: returns by epoch")
    common.Row(
        network=f"Policy gradient: REINFORCE with a baseline, 4-{HIDDEN}-2",
        data="CartPole-v1 (gymnasium)",
        result=f"mean return {test.mean():.1f} over 100 new episodes, after {played.size} episodes",
        target="475 or more: solved, as gymnasium defines it",
        met=test.mean() >= 475,
    ).report(args, "policy_gradient")


if __name__ == "__main__":
    main()
