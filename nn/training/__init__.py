"""A training loop: progress, validation, metrics, checkpoints with exact resume, early stopping."""

from .early_stopping import EarlyStopping
from .evaluation import accuracy, evaluate
from .fit import TrainingError, TrainingInterrupted, fit
from .history import History

__all__ = ["EarlyStopping", "History", "TrainingError", "TrainingInterrupted", "accuracy", "evaluate", "fit"]
