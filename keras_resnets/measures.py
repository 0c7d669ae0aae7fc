"""Numbers on answers: how many are right, where the others went, what a score is worth."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

WITHIN = 1.959963984540054  # standard deviations around the mean of a normal distribution that hold 95 %
BINS = 10


def wilson(right: int, total: int) -> tuple[float, float]:
    """The 95 % interval of a share.

    Source: Wilson, Probable inference, the law of succession, and statistical inference, Journal of the
    American Statistical Association 22 (1927), p. 209. The example is Newcombe's, Statistics in Medicine 17
    (1998), p. 857, table I.

    Raises:
        ValueError: ``total`` is below 1, or ``right`` not in 0..total.

    Example:

    >>> [round(bound, 4) for bound in wilson(81, 263)]
    [0.2553, 0.3662]
    """
    if not 0 <= right <= total or not total:
        raise ValueError(f"a share is of 1 at least, and of 0..total. Received: {right} of {total}")
    share, weight = right / total, WITHIN**2 / total
    middle = (share + weight / 2) / (1 + weight)
    reach = WITHIN / (1 + weight) * math.sqrt(share * (1 - share) / total + weight / (4 * total))
    return max(0.0, middle - reach), min(1.0, middle + reach)


def confusion(answers: np.ndarray, targets: np.ndarray, classes: int) -> np.ndarray:
    """How many pictures of each class, a row, got each answer, a column: int (classes, classes).

    >>> confusion(np.array([0, 1, 1]), np.array([0, 0, 1]), 2).tolist()
    [[1, 1], [0, 1]]
    """
    return np.bincount(targets * classes + answers, minlength=classes**2).reshape(classes, classes)


def most_confused(matrix: np.ndarray, count: int) -> np.ndarray:
    """The classes that take part in most mistakes, by true class or by answer; in the order of their numbers.

    Args:
        matrix: As `confusion` gives it.
        count: How many; all where there are no more.
    """
    mistakes = matrix - np.diag(matrix.diagonal())
    return np.sort(np.argsort(-(mistakes.sum(axis=0) + mistakes.sum(axis=1)), kind="stable")[:count])


class ClassResult(NamedTuple):
    """How often answers are right about one class; NaN where there is nothing to divide by.

    Attributes:
        name: What the class is called.
        images: Pictures of it.
        precision: Share of the answers of this class that are right.
        recall: Share of its pictures that are answered right.
        f1: Harmonic mean of both.
    """

    name: str
    images: int
    precision: float
    recall: float
    f1: float


def by_class(matrix: np.ndarray, names: Sequence[str]) -> list[ClassResult]:
    """Precision, recall and F1 of each class.

    Source: van Rijsbergen, Information Retrieval (1979), chapter 7.

    Args:
        matrix: As `confusion` gives it.
        names: What the classes are called.
    """
    images, answers, right = matrix.sum(axis=1), matrix.sum(axis=0), matrix.diagonal()
    return [
        ClassResult(
            name,
            int(images[i]),
            _share(right[i], answers[i]),
            _share(right[i], images[i]),
            _share(2 * right[i], answers[i] + images[i]),
        )
        for i, name in enumerate(names)
    ]


def _share(part: int, whole: int) -> float:
    return float(part / whole) if whole else math.nan


class Calibration(NamedTuple):
    """Whether answers with a score of 0.8 are right 8 times in 10.

    Attributes:
        pictures: In each of the bins of equal width, by the best score, int (10,).
        score: Mean best score in each, float (10,); NaN where there is no picture.
        accuracy: Share of right answers in each, float (10,); NaN where there is no picture.
        error: The expected calibration error: their mean distance, a picture each.
    """

    pictures: np.ndarray
    score: np.ndarray
    accuracy: np.ndarray
    error: float


def calibration(best: np.ndarray, right: np.ndarray) -> Calibration:
    """Compare scores with how often they are right.

    Source: Guo et al., On Calibration of Modern Neural Networks, arXiv:1706.04599, section 2.

    Args:
        best: The score of each answer, float (N,), in 0..1; a bin has its upper edge, not its lower one.
        right: Whether it was right, bool (N,).
    """
    edges = np.linspace(0, 1, BINS + 1, dtype=best.dtype)  # rounded as the scores are, so that 0.3 is 0.3
    bins = np.digitize(best, edges[1:-1], right=True)
    pictures = np.bincount(bins, minlength=BINS)
    some = np.where(pictures, pictures, np.nan)
    score = np.bincount(bins, best, BINS) / some
    accuracy = np.bincount(bins, right, BINS) / some
    error = np.nansum(pictures * np.abs(accuracy - score)) / len(best)
    return Calibration(pictures, score, accuracy, float(error))


def mistakes(scores: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """The numbers of the pictures with a wrong answer, the highest score of an answer first."""
    wrong = np.flatnonzero(scores.argmax(axis=1) != targets)
    return wrong[np.argsort(-scores[wrong].max(axis=1), kind="stable")]
