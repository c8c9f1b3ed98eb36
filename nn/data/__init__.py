"""Datasets, splits, IDX files and the DataLoader: NumPy in, tuples of NumPy arrays out."""

from .checks import DatasetIndexError
from .dataset import ArrayDataset, Dataset, ItemDataset, Subset
from .expressions import LISTOPS_WORDS, LOGIC_WORDS, RELATIONS, listops, logic, relations, truth_values
from .forests import Forest, Sizes, arrange
from .idx import read_idx
from .loader import DataLoader
from .sources import FASHION_MNIST_CLASSES, MissingPackageError, digits, fashion_mnist, idx_folder
from .split import random_split, train_test_split
from .text import PYTHON_MODULES, Characters, python_sources, streams, windows
from .trees import Tree, TreeDataset

__all__ = [
    "ArrayDataset",
    "Dataset",
    "ItemDataset",
    "Subset",
    "random_split",
    "train_test_split",
    "DataLoader",
    "digits",
    "fashion_mnist",
    "idx_folder",
    "read_idx",
    "FASHION_MNIST_CLASSES",
    "Characters",
    "python_sources",
    "streams",
    "windows",
    "PYTHON_MODULES",
    "Tree",
    "TreeDataset",
    "Forest",
    "Sizes",
    "arrange",
    "logic",
    "truth_values",
    "relations",
    "listops",
    "LOGIC_WORDS",
    "LISTOPS_WORDS",
    "RELATIONS",
    "DatasetIndexError",
    "MissingPackageError",
]
