"""Autoencoders as estimators of scikit-learn: a transformer, an outlier detector and a classifier.

    from minae.interop.sklearn import AutoencoderTransformer
    from sklearn.model_selection import GridSearchCV
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    pipe = make_pipeline(StandardScaler(), AutoencoderTransformer(8, variant="denoising", options={"level": 0.3}))
    search = GridSearchCV(pipe, {"autoencodertransformer__options__level": [0.1, 0.3]}, n_jobs=2)

The estimators take rows (rows, n) of finite numbers of any range, as arrays or data frames. They compute in the dtype
of the X that they are fitted to: in float32 for float32, and in float64 for every other. They do not scale the data,
and training goes well where each column has a mean near 0 and a deviation near 1: put a StandardScaler before them.

The attribute `model_` is the model of minae inside: `estimator.model_.save("model.safetensors")` writes the file that
`minae encode` reads.
"""

import contextlib
import dataclasses
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np

from minae import checks
from minae.errors import InputError
from minae.fields import Real, host_array, masked
from minae.models import get_model, registry
from minae.models.classifier import Classifier
from minae.models.model import Model
from minae.models.stacked import pretrain
from minae.options import Choice, Count, Flag, Number, Weight, Widths
from minae.options import of as options_of
from minae.training import LBFGS, OPTIMIZERS, History, Optimizer

try:
    from sklearn.base import (
        BaseEstimator,
        ClassifierMixin,
        ClassNamePrefixFeaturesOutMixin,
        OutlierMixin,
        TransformerMixin,
    )
    from sklearn.utils import check_array, check_random_state
    from sklearn.utils.multiclass import check_classification_targets
    from sklearn.utils.validation import check_is_fitted, validate_data
except ImportError as error:
    raise InputError("minae.interop.sklearn needs scikit-learn 1.6 or later: pip install 'minae[sklearn]'") from error

FLOATS = [np.float64, np.float32]  # the dtypes that X may keep; every other becomes the first
INSTEAD = {  # options of a model that an estimator knows by another way
    "sizes": "is made of the columns of X and the parameters code_size and hidden",
    "seed": "is the parameter random_state",
    "backend": "is a parameter of the estimator",
    "dtype": "is that of X",
}


def variants(*verbs: str) -> list[str]:
    """Names of the models that learn from rows of numbers alone and have these verbs, such as "encode"."""
    return [name for name, kind in registry().items() if _takes_rows(kind, verbs)]


def _takes_rows(kind, verbs):
    """Whether a model declares that a batch is rows of numbers and nothing else, and has these verbs."""
    if not all(hasattr(kind, verb) for verb in verbs):
        return False
    _, model, _ = checks.case(kind, next(iter(kind.cases)))
    field, *others = model.fields.values()
    return isinstance(field, Real) and not field.ragged and all(other.optional for other in others)


@contextlib.contextmanager
def _one_line():
    """What scikit-learn refuses, as one line."""
    try:
        yield
    except ValueError as error:
        if "feature names" in str(error):  # `check_estimator` compares this message line by line
            raise
        raise InputError(error) from error


class _Checked:
    """The parameters that are checked here. The others are checked by the model, and by its training."""

    code_size = Count(optional=True)
    hidden = Widths(fewest=0)
    epochs = Count(lowest=0)
    pretrain_epochs = Count(lowest=0)
    batch_size = Count(optional=True)
    warm_start = Flag()
    contamination = Number(low=0, high=0.5)


class _Estimator(BaseEstimator):
    """What the three estimators share: options by the names options__NAME, the check of rows, and the training."""

    _verbs: tuple[str, ...] = ("encode", "decode")  # what a variant must have

    def get_params(self, deep=True):
        """The parameters by name; with `deep` also each option that was given, as options__NAME."""
        params = super().get_params(deep=deep)
        if deep and isinstance(self.options, dict):
            params |= {f"options__{name}": value for name, value in self.options.items()}
        return params

    def set_params(self, **params):
        """Set parameters by name. options__NAME=value sets one option, and the other options stay as they are."""
        named = {name: value for name, value in params.items() if name.startswith("options__")}
        super().set_params(**{name: value for name, value in params.items() if name not in named})
        if named:
            self.options = self._options() | {name.removeprefix("options__"): each for name, each in named.items()}
        return self

    def _value(self, name):
        """A parameter, checked."""
        return getattr(_Checked, name).checked(getattr(self, name))

    def _options(self):
        """The options of the variant that were given."""
        if not isinstance(self.options, dict | None) or not all(isinstance(name, str) for name in self.options or ()):
            raise InputError(f"options is {self.options!r}: expected options by name, such as {{'level': 0.3}}")
        given = dict(self.options or {})
        for name in INSTEAD.keys() & given.keys():
            raise InputError(f"options has {name!r}, which {INSTEAD[name]}: leave it out of options")
        return given

    def _kind(self):
        """The class of the variant."""
        named = not (isinstance(self.variant, type) and issubclass(self.variant, Model))
        kind = get_model(self.variant) if named else self.variant
        if not _takes_rows(kind, self._verbs):
            raise InputError(
                f"variant is {kind.name or kind.__name__!r}, and {type(self).__name__} needs a model that learns from "
                f"rows of numbers alone and can {' and '.join(self._verbs)}: choose one of "
                f"{', '.join(variants(*self._verbs))}"
            )
        return kind

    def _rows(self, X, *y, fit=False):
        """X, or X and y, as arrays that scikit-learn has checked."""
        if masked(X):
            host_array(X, "X")  # refuses a mask, which scikit-learn would leave out
        with _one_line():
            return validate_data(self, X, *y, reset=fit, dtype=FLOATS, ensure_min_samples=2 if fit else 1)

    def _begin(self, kind, sizes, **options):
        """A model to train: a new one, or with `warm_start` the former one, where these options ask for the same."""
        former = getattr(self, "model_", None) if self._value("warm_start") else None
        seed = self._seed() if former is None else former.seed
        model = kind(sizes, **options, seed=seed, backend=self.backend)
        if former is None:
            return model
        fixed = [name for name, option in options_of(kind).items() if not isinstance(option, Weight)]
        if type(model) is not type(former) or model.backend.name != former.backend.name:
            changed = ["the variant or the backend"]
        else:
            changed = [name for name in fixed if model.config[name] != former.config[name]]
            changed += ["the dtype of X"] * (model.dtype != former.dtype)
        if changed:
            raise InputError(
                f"warm_start=True trains the former model on, and now {', '.join(changed)} is another: set it to False"
            )
        former.weights.update(model.weights)
        return former

    def _train(self, model, X, y=None, **settings):
        """Train the model, and keep it as `model_` with its `history_`, which goes on where the model does."""
        history = self.history_ if model is getattr(self, "model_", None) else History()
        done = {key: history[-1][key] if history else 0 for key in ("epoch", "step")}
        settings = self._settings(len(X), self._value("epochs")) | {"seed": model.seed + len(history)} | settings
        new = model.fit(_examples(model, X), y, **settings)
        new = [record | {key: record[key] + before for key, before in done.items()} for record in new]
        self.model_, self.history_ = model, History([*history, *new])

    def _settings(self, rows, epochs):
        """Settings of a training by the parameters."""
        optimizer, batch_size = _optimizer(self.optimizer, self.lr), self._value("batch_size")
        if batch_size is not None:
            batch_size = None if isinstance(optimizer, LBFGS) else min(batch_size, rows)
        return {"epochs": epochs, "batch_size": batch_size, "optimizer": optimizer, "progress": False}

    def _seed(self):
        """An integer random_state is the seed itself: the model is the one that minae trains with this seed."""
        if isinstance(self.random_state, numbers.Integral):
            return int(self.random_state)
        with _one_line():
            return int(check_random_state(self.random_state).randint(2**31 - 1))


class _Autoencoder(_Estimator):
    """An estimator of an autoencoder that is trained on the rows of X."""

    def __init__(
        self,
        code_size=None,
        hidden=(),
        *,
        variant="undercomplete",
        options=None,
        epochs=50,
        batch_size=32,
        optimizer="adam",
        lr=None,
        warm_start=False,
        random_state=None,
        backend=None,
    ):
        self.code_size = code_size
        self.hidden = hidden
        self.variant = variant
        self.options = options
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.lr = lr
        self.warm_start = warm_start
        self.random_state = random_state
        self.backend = backend

    def _learn(self, X, settings):
        """Train the variant on X, (rows, n). Returns X as it was checked."""
        X = self._rows(X, fit=True)
        kind, n, code_size = self._kind(), X.shape[1], self._value("code_size")
        if code_size is None and n == 1:
            raise InputError("X has n_features=1, and no code is narrower than that: give code_size, or more columns")
        code_size = min((n + 1) // 2, 32) if code_size is None else code_size
        options = _defaults(kind, len(X)) | self._options() | {"dtype": X.dtype.name}
        model = self._begin(kind, [n, *self._value("hidden"), code_size], **options)
        self._train(model, X, **settings)
        return X

    def _applied(self, verb, X):
        """What a verb of the model gives for rows, as rows of their dtype."""
        Y = getattr(self.model_, verb)(_examples(self.model_, X) if verb != "decode" else X)
        return Y.reshape(len(Y), -1).astype(X.dtype, copy=False)


class AutoencoderTransformer(ClassNamePrefixFeaturesOutMixin, TransformerMixin, _Autoencoder):
    r"""An autoencoder as a transformer: `transform` gives the code h = f(x), `inverse_transform` the mean r = g(h).

    code_size:    m, numbers of the code; by default half of the columns of X, and 32 at most
    hidden:       widths of the layers between x and h, such as (256, 64); the decoder is their mirror
    variant:      the model by its name, such as "denoising" (`minae options` lists them), or a class of your own; any
                  that learns from rows alone and has a decoder, see `variants`
    options:      options of the model by name, such as {"level": 0.3}; in a grid each is options__NAME. Those that are
                  not given are the model's own, except that the loss is "gaussian", squared error, which takes data of
                  any range ("bernoulli" needs X in [0, 1]), and that the code of "undercomplete" and "denoising" is
                  "identity", which takes any value
    epochs:       passes over X
    batch_size:   rows a step, or all of X where X has fewer rows; None for minae's default. lbfgs takes all rows
    optimizer:    sgd, momentum, nesterov, adam, adamw, lbfgs, or an optimizer of `minae.training`
    lr:           learning rate; None for 0.01 with "adam" and "adamw", and else for the optimizer's own. Images and
                  deep networks want less, such as 0.001
    warm_start:   whether a second `fit` trains the former model on, with new noise and new orders of the rows
    random_state: of the first weights, the order and the noise; an integer is minae's `seed`
    backend:      "numpy", "cupy" or "auto"

    After `fit`: `model_`, the model; `history_`, one dict an epoch with J and the terms of the cost; `n_features_in_`,
    and `feature_names_in_` where X had names.

    Raises InputError for parameters and data out of range, and Diverged when a cost becomes NaN or infinite.
    """

    def fit(self, X: Any, y: Any = None, **settings: Any) -> "AutoencoderTransformer":
        """Train on X, (rows, n); y is ignored. settings: others of `minae.training.fit`, such as validation=0.1."""
        X = self._learn(X, settings)
        self._n_features_out = self._applied("encode", X[:1]).shape[1]
        return self

    def transform(self, X: Any) -> Any:
        """h = f(x):  (rows, n) -> (rows, m)."""
        check_is_fitted(self, "model_")
        return self._applied("encode", self._rows(X))

    def inverse_transform(self, X: Any) -> Any:
        """r = g(h), the mean of p(x | h), for rows of codes:  (rows, m) -> (rows, n)."""
        check_is_fitted(self, "model_")
        with _one_line():
            H = check_array(X, dtype=FLOATS, input_name="X")
        return self._applied("decode", H)

    def score(self, X: Any, y: Any = None) -> float:
        """−½ ‖x − r‖², summed over columns and averaged over rows: minus the reconstruction error, so that higher is
        better. It is squared error whatever the loss is, so that a search can compare models of several losses."""
        check_is_fitted(self, "model_")
        X = self._rows(X)
        d = X - self._applied("decode", self._applied("encode", X))
        return -0.5 * float(np.sum(d * d, dtype=float)) / len(X)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.transformer_tags.preserves_dtype = ["float64", "float32"]
        return tags


class AutoencoderDetector(OutlierMixin, _Autoencoder):
    r"""An autoencoder as an outlier detector: a row that is reconstructed badly is one.

    contamination: share of outliers in the data of `fit`, in [0, 0.5]: so many of its rows get the label −1
    All other parameters and attributes are those of `AutoencoderTransformer`. A variant needs no decoder where it has
    a score of its own, as "deep_svdd" has. `offset_` is the threshold: a row whose score is lower is an outlier.
    """

    _verbs = ("score_samples",)

    def __init__(
        self,
        code_size: int | None = None,
        hidden: Sequence[int] = (),
        *,
        contamination: float = 0.1,
        variant: str = "undercomplete",
        options: dict[str, Any] | None = None,
        epochs: int = 50,
        batch_size: int = 32,
        optimizer: Any = "adam",
        lr: float | None = None,
        warm_start: bool = False,
        random_state: Any = None,
        backend: str | None = None,
    ):
        super().__init__(
            code_size,
            hidden,
            variant=variant,
            options=options,
            epochs=epochs,
            batch_size=batch_size,
            optimizer=optimizer,
            lr=lr,
            warm_start=warm_start,
            random_state=random_state,
            backend=backend,
        )
        self.contamination = contamination

    def fit(self, X: Any, y: Any = None, **settings: Any) -> "AutoencoderDetector":
        """Train on X, (rows, n), and find `offset_`; y is ignored. settings: others of `minae.training.fit`."""
        contamination = self._value("contamination")
        X = self._learn(X, settings)
        self.offset_ = float(np.quantile(self._applied("score_samples", X), contamination))
        return self

    def score_samples(self, X: Any) -> Any:
        """−L of each row, high where x is usual; L is the error of the model's loss.  (rows, n) -> (rows,)"""
        check_is_fitted(self, "model_")
        return self._applied("score_samples", self._rows(X))[:, 0]

    def decision_function(self, X: Any) -> Any:
        """`score_samples` less `offset_`: negative for outliers.  (rows, n) -> (rows,)"""
        return self.score_samples(X) - self.offset_

    def predict(self, X: Any) -> Any:
        """1 for usual rows and −1 for outliers:  (rows, n) -> (rows,)."""
        return np.where(self.decision_function(X) < 0, -1, 1)


class StackedClassifier(ClassifierMixin, _Estimator):
    r"""A stack of layers that autoencoders pretrain one by one, and that is then trained on labels.     (section 15.1)

    h = f(x),  p(y | x) = softmax(h V + c),  J = −log p(y | x) + λ ½ Σ ‖W‖²: a `minae.Classifier` after
    `minae.pretrain`.

    hidden:          widths of the layers of f; () for softmax regression, which has none
    variant:         the autoencoder that each layer is pretrained as, by its name, or a class of your own; any whose
                     encoder is one layer h = φ(x W + b)
    options:         options of these autoencoders by name, such as {"level": 0.3}; in a grid each is options__NAME.
                     Squared error is the loss of the first unless `loss` is among the options
    activation:      φ of the layers, such as "relu"
    lam:             weight λ of weight decay while labels are learned
    pretrain_epochs: passes over X for each layer; 0 leaves pretraining out
    epochs:          passes over X with labels
    The other parameters are those of `AutoencoderTransformer`; a warm start does not pretrain again.

    After `fit`: `classes_`, the labels in order; `model_`, the `minae.Classifier`; `history_` of the training on labels
    and `pretraining_`, a list with the history of each layer; `n_features_in_`, and `feature_names_in_`.

    Raises InputError for parameters and data out of range, and Diverged when a cost becomes NaN or infinite.
    """

    classes_: Any
    pretraining_: Any

    def __init__(
        self,
        hidden: Sequence[int] = (32,),
        *,
        variant: str = "denoising",
        options: dict[str, Any] | None = None,
        activation: str = "sigmoid",
        lam: float = 0.0,
        pretrain_epochs: int = 10,
        epochs: int = 50,
        batch_size: int = 32,
        optimizer: Any = "adam",
        lr: float | None = None,
        warm_start: bool = False,
        random_state: Any = None,
        backend: str | None = None,
    ):
        self.hidden = hidden
        self.variant = variant
        self.options = options
        self.activation = activation
        self.lam = lam
        self.pretrain_epochs = pretrain_epochs
        self.epochs = epochs
        self.batch_size = batch_size
        self.optimizer = optimizer
        self.lr = lr
        self.warm_start = warm_start
        self.random_state = random_state
        self.backend = backend

    def fit(self, X: Any, y: Any, **settings: Any) -> "StackedClassifier":
        """Pretrain on X, (rows, n), then train on X and the labels y, (rows,): numbers or texts.

        settings: others of `minae.training.fit` for the training on labels, such as callbacks
        """
        X, y = self._rows(X, y, fit=True)
        with _one_line():
            check_classification_targets(y)
        classes, y = np.unique(y, return_inverse=True)
        if len(classes) < 2:
            raise InputError(f"y has 1 class, {classes[0]!r}: a classifier needs two classes or more")
        kind, hidden, epochs = self._kind(), self._value("hidden"), self._value("pretrain_epochs")
        options = {"activation": self.activation, "lam": self.lam, "classes": len(classes), "dtype": X.dtype.name}
        model = self._begin(Classifier, [X.shape[1], *hidden], **options)
        if model is getattr(self, "model_", None):
            if not np.array_equal(classes, self.classes_):
                raise InputError(
                    f"y has the classes {classes.tolist()}, and warm_start=True trains a model of "
                    f"{self.classes_.tolist()} on: give the same labels, or set it to False"
                )
            pretraining = self.pretraining_
        elif hidden and epochs:
            layers = self._settings(len(X), epochs) | {"options": self._options(), "loss": "gaussian"}
            pretraining = pretrain(model, X, kind, seed=model.seed, **layers)
        else:
            pretraining = []
        self._train(model, X, y, **settings)
        self.classes_, self.pretraining_ = classes, pretraining
        return self

    def predict(self, X: Any) -> Any:
        """The most probable label:  (rows, n) -> (rows,)."""
        check_is_fitted(self, "model_")
        return self.classes_[self.model_.predict(self._rows(X))]

    def predict_proba(self, X: Any) -> Any:
        """p(y | x) of each class in the order of `classes_`:  (rows, n) -> (rows, classes)."""
        check_is_fitted(self, "model_")
        X = self._rows(X)
        return self.model_.probabilities(X).astype(X.dtype, copy=False)


def _examples(model, X):
    """Rows in the shape of the model's examples: where it has convolutions, a row is an image."""
    return X.reshape(len(X), *next(iter(model.fields.values())).shape)


def _defaults(kind, rows):
    """Options that X asks for: squared error as −log p(x | h), since its numbers have any range, a code of two models
    that takes any value, too, and the number of rows for a model that has to know it."""
    declared, chosen = options_of(kind), {}
    if isinstance(declared.get("loss"), Choice) and "gaussian" in declared["loss"].among:
        chosen["loss"] = "gaussian"
    if kind.name in ("undercomplete", "denoising"):
        chosen["code"] = "identity"
    if isinstance(declared.get("rows"), Count):
        chosen["rows"] = rows
    return chosen


def _optimizer(optimizer, lr):
    """The optimizer, with this learning rate where one is given. What is none of minae's, the training refuses."""
    if isinstance(optimizer, str) and optimizer in OPTIMIZERS:
        if lr is None and optimizer in ("adam", "adamw"):
            lr = 0.01  # tables are short, and an epoch of them has few steps
        optimizer = OPTIMIZERS[optimizer]()
    if lr is None or not isinstance(optimizer, Optimizer | LBFGS):
        return optimizer
    if isinstance(optimizer, LBFGS):
        raise InputError(f"lr is {lr!r}, and lbfgs finds its own step length: set lr to None")
    return dataclasses.replace(optimizer, lr=lr)
