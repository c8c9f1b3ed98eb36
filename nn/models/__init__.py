"""Whole networks, built of the modules beside this folder: what examples train and others build upon."""

from .resnet import BasicBlock, ResNet

__all__ = ["BasicBlock", "ResNet"]
