"""Networks as scikit-learn estimators: ``NeuralNetClassifier`` and ``NeuralNetRegressor``.

They stand in pipelines, grid searches and cross-validations like scikit-learn's own. Everything that trains them is
``nn`` and ``optim``.
"""

from autograd_core.nn.data import MissingPackageError

try:
    import sklearn as _sklearn
except ImportError as error:
    raise MissingPackageError(
        "autograd_core.estimators builds on scikit-learn, which is not installed here: "
        "pip install 'autograd-core[examples]'"
    ) from error

from .classifier import NeuralNetClassifier
from .regressor import NeuralNetRegressor

__all__ = ["NeuralNetClassifier", "NeuralNetRegressor"]
