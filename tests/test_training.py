"""The training loop: it learns, records, stops, and resumes to the very same bits."""

from __future__ import annotations

import os
import signal

import numpy as np
import pytest

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.errors import ArgumentError, CheckpointError, DataError, StateDictError
from autograd_core.nn.data import ArrayDataset, DataLoader
from autograd_core.nn.training import (
    EarlyStopping,
    History,
    TrainingError,
    TrainingInterrupted,
    accuracy,
    evaluate,
    fit,
)

LOSS = nn.functional.cross_entropy
FIXED = {"loss": LOSS, "optimizer": optim.SGD([nn.Parameter(np.ones(1))]), "epochs": 1, "progress": False}


def clusters(n: int = 60, seed: int = 0) -> ArrayDataset:
    """Three well separated clouds in the plane."""
    rng = np.random.default_rng(seed)
    labels = np.arange(n) % 3
    centres = np.array([[0, 3], [3, -2], [-3, -2]], np.float32)
    return ArrayDataset((centres[labels] + rng.standard_normal((n, 2))).astype(np.float32), labels)


class Setting:
    """A model with batch norm and dropout, so that buffers and random numbers take part, and all that trains it."""

    def __init__(self, seed: int = 0, dropout: float = 0.2):
        ag.random.seed(seed)
        self.model = nn.Sequential(
            nn.Linear(2, 16), nn.BatchNorm1d(16), nn.ReLU(), nn.Dropout(dropout), nn.Linear(16, 3)
        )
        self.loader = DataLoader(clusters(), batch_size=8, shuffle=True, seed=5)
        self.optimizer = optim.Adam(self.model.parameters(), lr=optim.schedules.cosine(1e-2, 40))

    def fit(self, epochs: int, **kwargs: object) -> History:
        return fit(
            self.model,
            self.loader,
            loss=kwargs.pop("loss", LOSS),
            optimizer=self.optimizer,
            epochs=epochs,
            metrics={"accuracy": accuracy},
            progress=False,
            **kwargs,
        )

    def weights(self) -> dict[str, np.ndarray]:
        return {name: value.numpy().copy() for name, value in self.model.state_dict().items()}


def assert_same_bits(one: dict[str, np.ndarray], other: dict[str, np.ndarray]) -> None:
    assert one.keys() == other.keys()
    for name in one:
        assert one[name].tobytes() == other[name].tobytes(), name


class InterruptingLoss:
    """A loss during whose k-th call Ctrl-C is pressed."""

    def __init__(self, at: int):
        self.calls, self.at = 0, at

    def __call__(self, outputs: ag.Tensor, targets: ag.Tensor) -> ag.Tensor:
        self.calls += 1
        if self.calls == self.at:
            os.kill(os.getpid(), signal.SIGINT)
        return LOSS(outputs, targets)


def test_a_separable_problem_is_learned_and_recorded():
    setting = Setting()
    history = setting.fit(6, validation=DataLoader(clusters(seed=1), batch_size=60))
    assert len(history) == 6
    assert history["val_accuracy"][-1] > 0.9
    assert history["loss"][-1] < history["loss"][0]
    assert set(history.rows[0]) == {"loss", "accuracy", "val_loss", "val_accuracy", "seconds"}


def test_evaluate_weighs_batches_by_their_length_and_restores_the_mode():
    setting = Setting()
    setting.model[3].eval()
    modes = [module.training for module in setting.model.modules()]
    whole = evaluate(setting.model, DataLoader(clusters(), batch_size=60), LOSS, {"accuracy": accuracy})
    uneven = evaluate(setting.model, DataLoader(clusters(), batch_size=7), LOSS, {"accuracy": accuracy})
    assert uneven["loss"] == pytest.approx(whole["loss"], rel=1e-6)
    assert uneven["accuracy"] == pytest.approx(whole["accuracy"], rel=1e-6)
    assert [module.training for module in setting.model.modules()] == modes


@pytest.mark.parametrize("step", [1, 5, 8, 9, 20])
def test_a_training_interrupted_at_any_step_resumes_to_the_same_bits(tmp_path, step):
    straight = Setting()
    expected = straight.fit(4)
    path = tmp_path / "run.safetensors"
    first = Setting()
    with pytest.raises(TrainingInterrupted, match=r"saved to .*run\.safetensors"):
        first.fit(4, checkpoint=path, loss=InterruptingLoss(step))
    second = Setting(seed=99)  # other weights, other random numbers: all of it comes from the checkpoint
    history = second.fit(4, checkpoint=path)
    assert_same_bits(second.weights(), straight.weights())
    assert history["loss"] == expected["loss"]
    assert history["accuracy"] == expected["accuracy"]


def test_training_on_goes_on_where_a_finished_training_ended(tmp_path):
    straight = Setting()
    straight.fit(5)
    path = tmp_path / "run.safetensors"
    Setting().fit(2, checkpoint=path)
    second = Setting(seed=3)
    assert len(second.fit(5, checkpoint=path)) == 5
    assert_same_bits(second.weights(), straight.weights())


def test_resume_false_trains_anew(tmp_path):
    path = tmp_path / "run.safetensors"
    Setting().fit(2, checkpoint=path)
    assert len(Setting().fit(1, checkpoint=path, resume=False)) == 1


def test_an_interruption_without_a_checkpoint_says_that_nothing_was_saved():
    before = signal.getsignal(signal.SIGINT)
    with pytest.raises(TrainingInterrupted, match="nothing was saved"):
        Setting().fit(2, loss=InterruptingLoss(3))
    assert signal.getsignal(signal.SIGINT) is before


def test_an_interruption_after_the_loss_became_nan_keeps_the_last_good_checkpoint(tmp_path):
    path = tmp_path / "run.safetensors"
    Setting().fit(1, checkpoint=path)
    before = path.read_bytes()
    interrupting = InterruptingLoss(3)
    with pytest.raises(TrainingInterrupted, match="nothing was saved, because the mean loss is nan by now"):
        Setting().fit(3, checkpoint=path, loss=lambda outputs, targets: interrupting(outputs, targets) * float("nan"))
    assert path.read_bytes() == before


def test_a_failing_save_leaves_the_old_checkpoint(tmp_path, monkeypatch):
    path = tmp_path / "run.safetensors"
    Setting().fit(1, checkpoint=path)
    before = path.read_bytes()

    def no_space(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "replace", no_space)
    with pytest.raises(CheckpointError, match="nothing was replaced: No space left on device"):
        Setting().fit(2, checkpoint=path)
    assert path.read_bytes() == before
    monkeypatch.undo()
    assert len(Setting().fit(2, checkpoint=path)) == 2


@pytest.mark.parametrize("keep", [0, 7, 100, -1])
def test_a_truncated_checkpoint_is_refused_before_anything_changes(tmp_path, keep):
    path = tmp_path / "run.safetensors"
    Setting().fit(1, checkpoint=path)
    path.write_bytes(path.read_bytes()[:keep])
    setting = Setting()
    before = setting.weights()
    with pytest.raises(CheckpointError, match=r"run\.safetensors"):
        setting.fit(2, checkpoint=path)
    assert_same_bits(setting.weights(), before)


def test_a_file_that_is_no_training_checkpoint_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    ag.save(path, {"w": ag.zeros(3)})
    with pytest.raises(CheckpointError, match="holds tensors alone, no checkpoint"):
        Setting().fit(1, checkpoint=path)


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    path = tmp_path / "other.safetensors"
    ag.save_checkpoint(path, {"w": ag.zeros(3)})
    with pytest.raises(CheckpointError, match="not a training checkpoint"):
        Setting().fit(1, checkpoint=path)


def test_a_checkpoint_of_another_model_is_refused_before_anything_changes(tmp_path):
    path = tmp_path / "run.safetensors"
    Setting().fit(1, checkpoint=path)
    other = Setting()
    other.model = nn.Linear(2, 3)
    other.optimizer = optim.SGD(other.model.parameters(), lr=0.1)
    before, loader = other.weights(), other.loader.state_dict()
    with pytest.raises(StateDictError):
        other.fit(2, checkpoint=path)
    assert_same_bits(other.weights(), before)
    assert other.loader.state_dict() == loader


def test_a_checkpoint_of_another_optimizer_leaves_the_model_too_as_it_was(tmp_path):
    path = tmp_path / "run.safetensors"
    Setting().fit(1, checkpoint=path)
    other = Setting(seed=1)
    other.optimizer = optim.SGD(other.model.parameters(), lr=0.1, momentum=0.9)
    before, random = other.weights(), ag.random.default_generator().state_dict()
    with pytest.raises(StateDictError):
        other.fit(2, checkpoint=path)
    assert_same_bits(other.weights(), before)
    assert other.loader.state_dict()["epoch"] == 0
    assert ag.random.default_generator().state_dict() == random


def test_early_stopping_stops_and_restores_the_best_weights():
    setting = Setting(dropout=0.0)
    seen: list[dict[str, np.ndarray]] = []

    class Watched(EarlyStopping):
        def update(self, row, model):
            seen.append({name: value.numpy().copy() for name, value in model.state_dict().items()})
            return super().update(row, model)

    stopping = Watched("val_loss", patience=2, min_delta=10.0)  # nothing after the first epoch improves by that much
    history = setting.fit(20, validation=DataLoader(clusters(seed=1), batch_size=60), early_stopping=stopping)
    assert len(history) == 3
    assert_same_bits(setting.weights(), seen[0])


def test_early_stopping_resumes(tmp_path):
    def run(path, epochs):
        setting = Setting()
        stopping = EarlyStopping("val_loss", patience=2, min_delta=10.0)
        validation = DataLoader(clusters(seed=1), batch_size=60)
        return setting, setting.fit(epochs, validation=validation, early_stopping=stopping, checkpoint=path)

    straight, expected = run(None, 20)
    run(tmp_path / "run.safetensors", 2)
    resumed, history = run(tmp_path / "run.safetensors", 20)
    assert len(history) == len(expected) == 3
    assert_same_bits(resumed.weights(), straight.weights())


def test_early_stopping_begins_anew_with_every_training():
    stopping = EarlyStopping("loss", patience=2)
    Setting(seed=0).fit(3, early_stopping=stopping)
    stopping.best = -1.0  # as good as a second training never gets
    other = Setting(seed=1)
    rates = other.optimizer.param_groups[0]
    rates["lr"] = 0.0
    before = other.model[0].weight.numpy().copy()
    assert len(other.fit(3, early_stopping=stopping)) == 3
    np.testing.assert_array_equal(other.model[0].weight.numpy(), before)  # not the first training's best


def test_a_diverging_training_ends_and_keeps_the_last_good_checkpoint(tmp_path):
    path = tmp_path / "run.safetensors"
    Setting().fit(1, checkpoint=path)
    before = path.read_bytes()
    with pytest.raises(TrainingError, match="mean loss of epoch 2 is nan: lower the learning rate"):
        Setting().fit(3, checkpoint=path, loss=lambda outputs, targets: LOSS(outputs, targets) * float("nan"))
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("change", "error", "message"),
    [
        ({"epochs": -1}, ArgumentError, "epochs must be an int of at least 0, got -1"),
        ({"epochs": 2.0}, ArgumentError, "epochs must be an int"),
        ({"metrics": {"loss": accuracy}}, ArgumentError, "the name 'loss' is taken"),
        ({"early_stopping": EarlyStopping("val_loss")}, ArgumentError, "monitors 'val_loss', but an epoch records"),
        ({"loss": lambda outputs, targets: 0.0}, ArgumentError, "loss must return a 0-d tensor"),
        ({"loss": "mse"}, ArgumentError, r"loss must be a function \(outputs, targets\) .*, got 'mse'"),
        (
            {"loss": nn.CrossEntropyLoss},
            ArgumentError,
            r"loss must be a function .* such as .*nn.MSELoss\(\), got <class",
        ),
        ({"metrics": [accuracy]}, ArgumentError, "metrics: takes a dict of names and functions, .* got a list"),
        ({"metrics": {"a": "accuracy"}}, ArgumentError, "a must be a function .*, got 'accuracy'"),
        ({"metrics": {"seconds": accuracy}}, ArgumentError, "a history has a column 'seconds' of its own"),
        ({"metrics": {"val_loss": accuracy}}, ArgumentError, "a history has a column 'val_loss' of its own"),
        ({"metrics": {"a": lambda o, t: 0.5}}, ArgumentError, "fit: a must return a 0-d tensor, it returned float 0.5"),
        ({"metrics": {"a": lambda o, t: o}}, ArgumentError, "fit: a must return a 0-d tensor, .*; reduce it"),
        ({"optimizer": None}, ArgumentError, r"optimizer must be an optimizer, such as optim.Adam\(.*, got None"),
        ({"optimizer": optim.SGD}, ArgumentError, "optimizer must be an optimizer, .* got the class SGD"),
        ({"validation": 3}, ArgumentError, r"validation must give batches of \(inputs, targets\), .*, got a int"),
        ({"validation": iter([])}, ArgumentError, "validation is a list_iterator, which gives its batches once"),
        ({"penalty": 0.1}, ArgumentError, "penalty must be a function, got 0.1"),
        ({"after_backward": 0.1}, ArgumentError, "after_backward must be a function, got 0.1"),
        ({"loggers": print}, ArgumentError, r"loggers must be a list of functions .*; write \[logger\]"),
        ({"loggers": [3]}, ArgumentError, r"loggers\[0\] must be a function, got 3"),
        ({"early_stopping": True}, ArgumentError, r"early_stopping must be an EarlyStopping\(...\) or None, got True"),
        ({"checkpoint": 3}, ArgumentError, "checkpoint must be the path of a file, got 3"),
    ],
)
def test_arguments_that_do_not_fit(change, error, message):
    setting = Setting()
    arguments = {"loss": LOSS, "optimizer": setting.optimizer, "epochs": 1, "progress": False} | change
    with pytest.raises(error, match=message):
        fit(setting.model, setting.loader, **arguments)


@pytest.mark.parametrize("call", [lambda f: evaluate(f, [], LOSS), lambda f: fit(f, Setting().loader, **FIXED)])
def test_a_function_is_no_model(call):
    with pytest.raises(ArgumentError, match="model must be an nn.Module, got a function; write a class with forward"):
        call(lambda x: x)


def test_epochs_may_be_numpys():
    assert len(Setting().fit(np.int64(2))) == 2


def test_batches_that_are_no_pairs():
    loader = DataLoader(ArrayDataset(np.zeros((4, 2), np.float32)), batch_size=2)
    setting = Setting()
    with pytest.raises(DataError, match=r"a batch must be a pair \(inputs, targets\), got 1 arrays"):
        fit(setting.model, loader, loss=LOSS, optimizer=setting.optimizer, epochs=1, progress=False)


@pytest.mark.parametrize(
    ("kwargs", "message"),
    [
        ({"mode": "up"}, "mode"),
        ({"mode": ["min"]}, "mode"),
        ({"patience": 0}, "patience must be an int of at least 1, got 0"),
        ({"patience": 1.5}, "patience must be an int of at least 1, got 1.5"),
        ({"min_delta": float("nan")}, "min_delta must be a finite number of at least 0, got nan"),
        ({"min_delta": "a"}, "min_delta must be a finite number"),
    ],
)
def test_early_stopping_arguments(kwargs, message):
    with pytest.raises(ArgumentError, match=message):
        EarlyStopping(**kwargs)


def test_an_unknown_column_names_those_there_are():
    with pytest.raises(KeyError, match=r"no column 'acc'; it has \['loss'\]"):
        History([{"loss": 1.0}])["acc"]


def test_the_best_epoch_is_no_nan():
    history = History([{"a": x} for x in (float("nan"), 1.0, 3.0, float("nan"), 2.0)])
    assert (history.best("a"), history.best("a", "max")) == ((1, 1.0), (2, 3.0))
    with pytest.raises(ArgumentError, match="mode must be 'min' or 'max', got 'largest'"):
        history.best("a", "largest")


def test_progress_goes_to_standard_error_and_a_line_an_epoch_remains(capsys):
    setting = Setting()
    fit(setting.model, setting.loader, loss=LOSS, optimizer=setting.optimizer, epochs=2)
    captured = capsys.readouterr()
    assert captured.out.count("epoch 1/2  loss") == 1
    assert captured.out.count("epoch 2/2  loss") == 1


@pytest.mark.parametrize("optimizer", ["adam", "momentum"])
def test_compiled_trainings_follow_the_eager_one_and_resume_to_the_same_bits(tmp_path, optimizer):
    """Sixty samples in batches of eight: the last batch is smaller, and compiled for itself."""

    def setting() -> Setting:
        made = Setting()
        if optimizer == "momentum":
            made.optimizer = optim.SGD(made.model.parameters(), lr=0.05, momentum=0.9, dampening=0.1)
        return made

    eager = setting()
    expected = eager.fit(4)
    whole = setting()
    history = whole.fit(4, compile=True, validation=DataLoader(clusters(seed=1), batch_size=25))
    np.testing.assert_allclose(history["loss"], expected["loss"], rtol=1e-5)
    assert eager.optimizer.steps.item() == whole.optimizer.steps.item() == 32
    path = tmp_path / "training.safetensors"
    setting().fit(2, compile=True, checkpoint=path)
    resumed = setting()
    again = resumed.fit(4, compile=True, checkpoint=path, validation=DataLoader(clusters(seed=1), batch_size=25))
    assert again["loss"] == history["loss"]
    assert_same_bits(resumed.weights(), whole.weights())


def test_penalties_are_learnt_from_and_not_recorded_and_gradients_can_be_clipped():
    plain, decayed = Setting(dropout=0.0), Setting(dropout=0.0)
    plain.fit(3)

    def sum_of_squares() -> ag.Tensor:
        return 0.1 * sum(((p * p).sum() for p in decayed.model.parameters()), ag.tensor(0.0))

    history = decayed.fit(3, penalty=sum_of_squares, compile=True)
    size = [sum(float((w * w).sum()) for w in s.weights().values() if w.ndim == 2) for s in (plain, decayed)]
    assert size[1] < 0.9 * size[0]
    assert history["loss"][-1] < history["loss"][0]

    clipped = Setting(dropout=0.0)
    before = clipped.weights()
    clipped.optimizer = optim.SGD(clipped.model.parameters(), lr=1.0)
    clipped.fit(1, after_backward=lambda: optim.clip_grad_norm_(clipped.model.parameters(), 1e-6))
    moved = [np.abs(before[n] - w).max() for n, w in clipped.weights().items() if n.endswith(("weight", "bias"))]
    assert 0 < max(moved) <= 8e-6


def test_loggers_are_given_each_epoch_once():
    rows: list[tuple[int, dict[str, float]]] = []
    history = Setting().fit(2, loggers=[lambda epoch, row: rows.append((epoch, dict(row)))])
    assert [epoch for epoch, _ in rows] == [1, 2]
    assert [row["loss"] for _, row in rows] == history["loss"]


@pytest.mark.parametrize("how", ["an error", "an interruption"])
def test_a_row_is_logged_before_its_epoch_is_saved(tmp_path, how):
    """So none is lost, and what a logger does to the learning rate is saved: the bits are those of one training."""

    def run(path: object, fails: bool) -> tuple[list[int], dict[str, np.ndarray]]:
        setting = Setting()
        plateau = optim.ReduceLROnPlateau(0.1, factor=0.5, patience=0, mode="max")  # which the loss does not please
        setting.optimizer = optim.SGD(setting.model.parameters(), lr=plateau, momentum=0.9)
        logged: list[int] = []

        def log(epoch: int, row: dict[str, float]) -> None:
            if fails and epoch == 3:
                if how == "an error":
                    raise OSError("no space left")
                os.kill(os.getpid(), signal.SIGINT)
            plateau.step(row["loss"])
            logged.append(epoch)

        if fails:
            with pytest.raises(OSError if how == "an error" else TrainingInterrupted):
                setting.fit(5, checkpoint=path, loggers=[log])
        else:
            setting.fit(5, checkpoint=path, loggers=[log])
        return logged, setting.weights()

    _, straight = run(None, False)
    first, _ = run(tmp_path / "run.safetensors", True)
    second, resumed = run(tmp_path / "run.safetensors", False)
    assert first + second == [1, 2, 3, 4, 5]
    assert_same_bits(resumed, straight)


def test_a_penalty_that_is_no_scalar_is_refused():
    made = Setting()
    with pytest.raises(ArgumentError, match=r"fit: penalty must return a 0-d tensor, it returned a tensor of shape"):
        made.fit(1, penalty=lambda: next(iter(made.model.parameters())))
