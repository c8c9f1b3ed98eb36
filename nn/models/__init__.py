"""Whole networks, built of the modules beside this folder: what examples train and others build upon."""

from .autoencoder import Autoencoder, jacobian_penalty
from .dbn import DeepBeliefNet
from .gpt import GPT
from .language_model import RecurrentLanguageModel
from .rbm import RBM
from .resnet import BasicBlock, ResNet
from .seq2seq import EncoderDecoder
from .tree import RecursiveNet, RecursiveTensorNet, TreeNet
from .vae import VariationalAutoencoder

__all__ = [
    "Autoencoder",
    "BasicBlock",
    "DeepBeliefNet",
    "EncoderDecoder",
    "GPT",
    "RBM",
    "RecurrentLanguageModel",
    "RecursiveNet",
    "RecursiveTensorNet",
    "ResNet",
    "TreeNet",
    "VariationalAutoencoder",
    "jacobian_penalty",
]
