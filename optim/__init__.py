"""Optimizers, schedules and gradient clipping."""

from . import hogwild, schedules
from .adadelta import Adadelta
from .adagrad import Adagrad
from .adam import Adam, AdamW
from .adamax import Adamax
from .asgd import ASGD
from .clipping import clip_grad_norm_, clip_grad_value_
from .lbfgs import LBFGS
from .lion import Lion
from .master_weights import MasterWeights
from .muon import Muon
from .nadam import NAdam
from .optimizer import Optimizer
from .plateau import ReduceLROnPlateau
from .radam import RAdam
from .rmsprop import RMSprop
from .rprop import Rprop
from .scaling import GradScaler
from .sgd import SGD

__all__ = [
    "ASGD",
    "LBFGS",
    "SGD",
    "Adadelta",
    "Adagrad",
    "Adam",
    "AdamW",
    "Adamax",
    "GradScaler",
    "Lion",
    "MasterWeights",
    "Muon",
    "NAdam",
    "Optimizer",
    "RAdam",
    "RMSprop",
    "ReduceLROnPlateau",
    "Rprop",
    "clip_grad_norm_",
    "clip_grad_value_",
    "hogwild",
    "schedules",
]
