"""MLPClassifier and MLPRegressor for scikit-learn, which nothing else here needs."""

from __future__ import annotations

try:
    from sklearn.utils.validation import validate_data  # noqa: F401  # since 1.6
except ImportError as error:
    raise ImportError(
        f"fastmlp.MLPClassifier and fastmlp.MLPRegressor must have scikit-learn 1.7 or newer; got {error}. "
        "Do pip install 'fastmlp[sklearn]'."
    ) from error

from fastmlp.estimators.classifier import MLPClassifier
from fastmlp.estimators.regressor import MLPRegressor

__all__ = ["MLPClassifier", "MLPRegressor"]
