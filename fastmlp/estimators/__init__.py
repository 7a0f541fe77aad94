"""fastmlp as scikit-learn's users know it: MLPClassifier and MLPRegressor. Needs scikit-learn; nothing else does."""

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
