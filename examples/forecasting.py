"""Forecast a year of carbon dioxide at Mauna Loa with a recurrent net.

    python examples/forecasting.py

Monthly means from 1958 to 2001, which ship with statsmodels. The seasonal-naive forecast of a month is the same month a
year before. The net forecasts what to add to that: it reads by how much each of the last three years' months exceeded
the month a year earlier, and writes that for the next twelve. The last ten years are held out; the five before them say
when to stop training. Every month of the held-out years from which a whole year follows is a beginning.
"""

from __future__ import annotations

import common
import matplotlib.pyplot as plt
import numpy as np
from numpy.lib.stride_tricks import sliding_window_view

import autograd_core as ag
from autograd_core import nn, optim
from autograd_core.nn.data import ArrayDataset, DataLoader
from autograd_core.nn.models import EncoderDecoder
from autograd_core.nn.training import EarlyStopping, fit

YEAR, PAST = 12, 36
TEST, VALIDATION = 10 * YEAR, 5 * YEAR


def carbon_dioxide() -> tuple[np.ndarray, np.ndarray]:
    """Months as years with fractions, and their means in parts per million; five months without data interpolated."""
    from statsmodels.datasets import co2

    monthly = co2.load_pandas().data["co2"].resample("MS").mean().interpolate()
    return np.asarray(monthly.index.year + (monthly.index.month - 1) / 12), monthly.to_numpy()


def examples(growth: np.ndarray) -> ArrayDataset:
    """Three years of growth, (N, 36, 1), and the year after, (N, 12, 1), from every month on."""
    found = sliding_window_view(growth.astype(np.float32), PAST + YEAR)[..., None]
    return ArrayDataset(found[:, :PAST], found[:, PAST:])


def error(forecasts: np.ndarray, truth: np.ndarray) -> float:
    """The root mean square error over all months of all forecasts."""
    return float(np.sqrt(np.mean((forecasts - truth) ** 2)))


def holt_winters(series: np.ndarray, beginnings: range) -> np.ndarray:
    """Forecasts by exponential smoothing with trend and season, fitted to all that came before each beginning."""
    from statsmodels.tsa.holtwinters import ExponentialSmoothing

    def forecast(past: np.ndarray) -> np.ndarray:
        return ExponentialSmoothing(past, trend="add", seasonal="add", seasonal_periods=YEAR).fit().forecast(YEAR)

    return np.stack([forecast(series[:begin]) for begin in beginnings])


def picture(months, series, beginnings, forecasts, naive, path) -> None:
    """The held-out years, and the forecasts that begin in their Januaries."""
    figure, axis = plt.subplots(figsize=(9, 4), layout="constrained")
    axis.plot(months[-TEST:], series[-TEST:], color="black", label="measured")
    for i in range(0, len(beginnings), YEAR):
        span = months[beginnings[i] : beginnings[i] + YEAR]
        axis.plot(span, forecasts[i], color="C0", label=None if i else "recurrent net")
        axis.plot(span, naive[i], color="C1", linestyle=":", label=None if i else "seasonal naive")
    axis.set(xlabel="year", ylabel="carbon dioxide (ppm)")
    axis.legend()
    figure.savefig(path, dpi=120)
    plt.close(figure)


def main() -> None:
    parser = common.arguments(__doc__, epochs=300, quick_epochs=2)
    args = parser.parse_args()
    months, series = carbon_dioxide()
    growth = series[YEAR:] - series[:-YEAR]
    known = growth[:-TEST]
    mean, deviation = known.mean(), known.std()
    scaled = (growth - mean) / deviation
    training = examples(scaled[: -TEST - VALIDATION])
    validation = examples(scaled[-TEST - VALIDATION - PAST : -TEST])
    test = examples(scaled[-TEST - PAST :])

    model = EncoderDecoder(1, 32, 1, YEAR, cell="gru").to(args.device)
    fit(
        model,
        DataLoader(training, 32, shuffle=True, seed=args.seed, drop_last=True),
        loss=nn.functional.mse_loss,
        optimizer=optim.Adam(model.parameters(), lr=1e-3),
        epochs=args.epochs,
        validation=DataLoader(validation, len(validation)),
        early_stopping=EarlyStopping("val_loss", patience=40),
        compile=args.compile,
    )

    beginnings = range(len(series) - TEST, len(series) - YEAR + 1)
    year_before = sliding_window_view(series, YEAR)[[begin - YEAR for begin in beginnings]]
    truth = sliding_window_view(series, YEAR)[list(beginnings)]
    with ag.no_grad():
        outputs = model(ag.asarray(np.ascontiguousarray(test[:][0]), device=args.device)).numpy()[..., 0]
    forecasts = year_before + mean + deviation * outputs
    errors = {"net": error(forecasts, truth), "naive": error(year_before, truth)}
    errors["drift"] = error(year_before + mean, truth)
    peers = f"with the mean growth added {errors['drift']:.3f}"
    if not args.quick:
        peers += f", Holt-Winters (statsmodels) {error(holt_winters(series, beginnings), truth):.3f}"
    picture(months, series, beginnings, forecasts, year_before, args.out / "forecasting.png")
    common.Row(
        network="Forecasting: GRU encoder and decoder",
        data=f"carbon dioxide at Mauna Loa, {len(series)} months (statsmodels), the last {TEST} held out",
        result=f"RMSE {errors['net']:.3f} ppm, a year ahead from {len(beginnings)} beginnings",
        target=f"below the seasonal-naive forecast, RMSE {errors['naive']:.3f}",
        met=errors["net"] < errors["naive"],
        peer=f"seasonal naive {peers}",
    ).report(args, "forecasting")


if __name__ == "__main__":
    main()
