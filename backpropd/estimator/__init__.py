"""Networks as scikit-learn has its estimators: fit, predict, score, in pipelines and searches."""

from backpropd.estimator.classifier import BackpropClassifier
from backpropd.estimator.regressor import BackpropRegressor

__all__ = ["BackpropClassifier", "BackpropRegressor"]
