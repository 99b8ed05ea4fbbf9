"""Standard error of a mean loss over the rows of targets seen."""

import math

import numpy as np

from losscope.losses.target_stats import TargetStats


def of_rows(per_row: np.ndarray, stats: TargetStats) -> float:
    """Standard error of the mean of ``per_row`` losses, which were taken on the sample of rows.

    The best constant is itself estimated; its error is of second order, because the loss is flat there.
    Rows are taken to be independent; the columns of a row need not be.
    """
    if len(per_row) < 2:
        return 0.0
    return float(per_row.std(ddof=1)) / math.sqrt(max(stats.count, len(per_row)))
