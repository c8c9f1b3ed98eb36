"""Which item of a data set makes a loss NaN or infinite."""

from __future__ import annotations

from typing import Any

import numpy as np

from autograd_core.tensor import Tensor

from ..data.loader import DataLoader

FIELDS = ("inputs", "targets")


def where_data_is_not_finite(train: Any) -> str | None:
    """The first NaN or infinity among the batches of the epoch that has just ended, in words; None if there is none.

    train: a DataLoader, which can give those batches again; of any other loader nothing is said.
    """
    if not isinstance(train, DataLoader):
        return None
    epoch = train.epoch - 1
    for number, batch in enumerate(train.batches(epoch)):
        for name, field in zip(FIELDS, batch):
            if not isinstance(field, np.ndarray | Tensor):
                continue
            values = field.detach().numpy() if isinstance(field, Tensor) else field
            if values.dtype.kind not in "fc" or np.isfinite(values).all():
                continue
            row, *place = (int(i) for i in np.argwhere(~np.isfinite(values))[0])
            kind = "NaN" if np.isnan(values[(row, *place)]) else "infinity"
            if train.transform is not None:
                return (
                    f"the {name} of batch {number}, as the loader's transform made them, hold {kind} at {[row, *place]}"
                )
            at = f" at {place}" if place else ""
            item = train.indices(epoch)[number * train.batch_size + row]
            return f"the {name} of item {item} hold {kind}{at} (batch {number}, row {row})"
    return None
