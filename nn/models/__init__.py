"""Whole networks, built of the modules beside this folder: what examples train and others build upon."""
