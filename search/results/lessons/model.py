"""A linear model whose intervals stay honest when there are hardly more trials than settings."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import stats

from search.results.noise import LEVEL, Interval

# Spread τ of an effect that is expected beforehand, in standard deviations of y were all of it
# noise, and what the guess of the noise weighs, in trials. With these the intervals of simulated
# searches of 8 to 60 trials and 10 to 16 terms, with effects of none to three deviations, held what
# they should.
_SPREAD, _WEIGHT = 1.5, 4.0


@dataclass(frozen=True)
class Additive:
    """y = m + (X - its means) β + noise: β | σ² ~ N(0, τ² σ²/ν I), σ² ~ inverse gamma, m is flat.

    ν is the part of the variance of y that is guessed to be noise: the less of it there is, the
    more of its spread effects are expected to make up, as they do of what is counted.

    The marginal posterior of any c·β is a Student t (Gelman et al., Bayesian Data Analysis, 14.8),
    and so is that of m, whose error has nothing to do with that of β as the columns are centred.
    As the prior is proper, there may be more terms than trials: intervals are then wide.

    Attributes:
        centre: shape (terms,): means of the columns.
        coefficients: shape (terms,): posterior mean of β, in units of y.
        covariance: shape (terms, terms): scale matrix of the t distribution.
        freedom: its degrees of freedom.
        mean: of y, the posterior mean of m.
        mean_variance: squared scale of m's t distribution, σ²/trials, in squared units of y.
    """

    centre: NDArray[np.float64]
    coefficients: NDArray[np.float64]
    covariance: NDArray[np.float64]
    freedom: float
    mean: float
    mean_variance: float

    @classmethod
    def fit(cls, columns: ArrayLike, outcome: ArrayLike, noise: float = 1.0) -> Additive:
        """Fit the model.

        Args:
            columns: X, shape (trials, terms), each of a range of about 1.
            outcome: y, shape (trials,), not all alike.
            noise: part of the variance of y that is guessed to be noise; it weighs as much as
                four trials.

        Raises:
            ValueError: the shapes do not match, or every outcome is the same.
        """
        x, y = np.asarray(columns, float), np.asarray(outcome, float)
        if x.ndim != 2 or y.shape != (len(x),):
            raise ValueError(f"columns of shape {x.shape} do not match outcomes of {y.shape}")
        scale = float(y.std())
        if not scale > 0:
            raise ValueError("every outcome is the same")
        centre = x.mean(axis=0)
        inner, z = x - centre, (y - y.mean()) / scale
        precision = np.eye(x.shape[1]) * noise / _SPREAD**2 + inner.T @ inner
        spread = np.linalg.inv(precision)
        mean = spread @ (inner.T @ z)
        # One is lost to the mean of y.
        freedom = _WEIGHT + len(y) - 1
        variance = (_WEIGHT * noise + z @ z - mean @ precision @ mean) / freedom * scale**2
        return cls(
            centre,
            mean * scale,
            spread * variance,
            freedom,
            float(y.mean()),
            float(variance / len(y)),
        )

    def contrast(self, weights: ArrayLike) -> Interval:
        """The mean of weights·β with its 95 % interval; ``weights`` has shape (terms,)."""
        return self._interval(np.asarray(weights, float), 0.0, 0.0)

    def level(self, weights: ArrayLike) -> Interval:
        """The mean of m + weights·β with its 95 % interval; ``weights`` has shape (terms,).

        That is y itself, without noise, where the columns differ from their means by ``weights``.
        """
        return self._interval(np.asarray(weights, float), self.mean, self.mean_variance)

    def _interval(self, c: NDArray[np.float64], start: float, variance: float) -> Interval:
        """Of ``start``, known with this squared scale, and c·β."""
        middle = float(start + c @ self.coefficients)
        scale = np.sqrt(variance + c @ self.covariance @ c)
        reach = float(stats.t.ppf((1 + LEVEL) / 2, self.freedom) * scale)
        return Interval(middle, middle - reach, middle + reach)
