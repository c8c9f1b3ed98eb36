"""Hold-out and k-fold validation, and a grid search, of a network as a scikit-learn estimator.

    python examples/cross_validation.py [--folds 5]

scikit-learn's own tools do all three; the network is NeuralNetClassifier, at the end of a pipeline that scales pixels.
Hold-out: a fifth of the digits is kept for the test, a tenth of the rest stops the training early. k-fold: beside
scikit-learn's MLPClassifier on the same folds, with the same width, batches, epochs and Adam. Grid search: k folds of
the training part for each width and dropout; what is best there is trained on all of it, and tested once.
"""

from __future__ import annotations

import warnings

import pictures
from common import Row, arguments
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.exceptions import ConvergenceWarning
from sklearn.model_selection import GridSearchCV, StratifiedKFold, cross_val_score, train_test_split
from sklearn.neural_network import MLPClassifier
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler

from autograd_core.estimators import NeuralNetClassifier
from autograd_core.nn import metrics

MARGIN = 0.01
WIDTH, BATCH, RATE = 100, 64, 3e-3
PREFIX = "neuralnetclassifier__"


def main() -> None:
    parser = arguments(__doc__, epochs=40, quick_epochs=2, compile=False)
    parser.add_argument("--folds", type=int, default=5)
    args = parser.parse_args()
    X, y = load_digits(return_X_y=True)
    if args.quick:
        X, y, args.folds = X[:300], y[:300], 2
    X_train, X_test, y_train, y_test = train_test_split(X, y, test_size=0.2, stratify=y, random_state=args.seed)
    folds = StratifiedKFold(args.folds, shuffle=True, random_state=args.seed)
    network = NeuralNetClassifier(
        hidden_sizes=(WIDTH,),
        lr=RATE,
        batch_size=BATCH,
        epochs=args.epochs,
        random_state=args.seed,
        dtype="float32",
        device=args.device,
        compile=args.compile,
    )
    model = make_pipeline(MinMaxScaler(), network)

    held_out = clone(model).set_params(**{PREFIX + "early_stopping": True}).fit(X_train, y_train)
    fitted = held_out[-1]
    pictures.learning_curves(fitted.history_, args.out / "cross_validation_learning_curves.png")
    confusion = metrics.confusion_matrix(held_out.predict(X_test), y_test, num_classes=10)
    print(
        f"hold-out: {held_out.score(X_test, y_test):.2%} of {len(y_test)} test digits after {fitted.n_iter_} epochs, "
        f"macro F1 {float(metrics.f1_score(confusion)):.4f}"
    )

    ours = cross_val_score(model, X, y, cv=folds)
    print("k-fold:", ", ".join(f"{score:.2%}" for score in ours))
    peer = MLPClassifier(
        hidden_layer_sizes=(WIDTH,),
        alpha=0.0,
        batch_size=BATCH,
        learning_rate_init=RATE,
        max_iter=args.epochs,
        n_iter_no_change=args.epochs,
        random_state=args.seed,
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)  # it stops after as many epochs as ours
        theirs = cross_val_score(make_pipeline(MinMaxScaler(), peer), X, y, cv=folds)

    settings = {PREFIX + "hidden_sizes": [(WIDTH,), (2 * WIDTH,)], PREFIX + "dropout": [0.0, 0.3]}
    search = GridSearchCV(model, settings, cv=folds).fit(X_train, y_train)
    tried = zip(search.cv_results_["params"], search.cv_results_["mean_test_score"])
    for chosen, score in sorted(tried, key=lambda pair: -pair[1]):
        print(f"grid search: {score:.2%} with", {name.removeprefix(PREFIX): value for name, value in chosen.items()})
    print(f"grid search: the best one reaches {search.score(X_test, y_test):.2%} of the test digits")

    Row(
        network=f"Multilayer perceptron as a scikit-learn estimator, {args.folds}-fold validation",
        data="digits",
        result=f"{ours.mean():.2%} ± {ours.std():.2%} over the folds",
        target=f"at most {100 * MARGIN:.0f} point below scikit-learn's MLPClassifier on the same folds",
        met=ours.mean() >= theirs.mean() - MARGIN,
        peer=f"scikit-learn's MLPClassifier: {theirs.mean():.2%} ± {theirs.std():.2%}",
    ).report(args, "cross_validation")


if __name__ == "__main__":
    main()
