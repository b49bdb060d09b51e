"""A torch training of a table beside a bare PyTorch loop over the same rows, in CPU seconds.

A million rows of 30 numbers; one thread; the same network, batches and epochs, and rows to fit on, to choose the best
epoch by and to score. Both start from the same polars table. Ours also checks the labels, keeps histories and a spec,
reads the model back from its bytes before it scores, measures, and says what each feature is worth. `python -m
benchmarks.train_overhead_torch ours|bare` prints the CPU seconds of one in a process that has imported all it needs.
"""

import copy
import sys
import time

import numpy as np
import polars as pl

from benchmarks.measure import fastest, python, said
from benchmarks.results import Result, result
from mlops_assets.settings import load_settings

AIM = 1.05
ROUNDS = 4
ROWS, COLUMNS, WARM = 1_000_000, 30, 2_000
EPOCHS, BATCH, WIDTH, RATE, DECAY = 10, 256, 64, 0.003, 0.0001
NAME = "train_overhead_torch"


def measure() -> list[Result]:
    """Return the CPU seconds of a training, and those of the loop."""
    ours, bare = fastest(ROUNDS, lambda: _seconds("ours"), lambda: _seconds("bare"))
    beside = "a bare PyTorch loop, same network, batches and epochs"
    return [
        result(NAME, ours, "CPU s", beside=beside, beside_figure=bare),
        result(f"{NAME}/ratio", ours / bare, "", aim=AIM),
    ]


def table(rows: int) -> pl.DataFrame:
    """Return numbers, and a label that depends on three of them."""
    random = np.random.default_rng(0)
    numbers = random.normal(size=(COLUMNS, rows))
    label = numbers[0] + numbers[1] * numbers[2] + random.normal(size=rows) > 0
    return pl.DataFrame({f"n{i}": column for i, column in enumerate(numbers)}).with_columns(label=label.astype(int))


def _ours(rows: pl.DataFrame) -> float:
    from mlops_assets.training.fitting import train
    from mlops_assets.training.networks.network import TORCH
    from mlops_assets.training.training_set import TrainingSet

    params = {"epochs": EPOCHS, "patience": EPOCHS, "batch": BATCH, "width": WIDTH, "layers": 2}
    data = TrainingSet(features=rows.drop("label"), labels=rows["label"], task="binary")
    return min(
        train(data, {**params, "learning_rate": RATE, "weight_decay": DECAY}, 0, TORCH).history["validation_loss"]
    )


def _bare(rows: pl.DataFrame) -> float:
    import torch
    from torch.nn import BCEWithLogitsLoss, Linear, ReLU, Sequential

    torch.set_num_threads(1)
    torch.manual_seed(0)
    x = torch.from_numpy(rows.drop("label").to_numpy().astype(np.float32, order="C"))
    y = torch.from_numpy(rows["label"].to_numpy().astype(np.float32))
    first, last = round(len(x) * 0.64), round(len(x) * 0.8)  # as training/split.py does
    x = (x - x[:first].mean(dim=0)) / x[:first].std(dim=0)
    net = Sequential(Linear(2 * COLUMNS, WIDTH), ReLU(), Linear(WIDTH, WIDTH), ReLU(), Linear(WIDTH, 1))
    optimiser = torch.optim.AdamW(net.parameters(), lr=RATE, weight_decay=DECAY, fused=True)
    loss_of, best, kept = BCEWithLogitsLoss(), float("inf"), net.state_dict()

    def answers(part: torch.Tensor) -> torch.Tensor:
        return net(torch.cat([torch.nan_to_num(part), torch.isnan(part)], dim=1))[:, 0]

    for _ in range(EPOCHS):
        for places in torch.randperm(first).split(BATCH):
            optimiser.zero_grad()
            loss_of(answers(x.index_select(0, places)), y.index_select(0, places)).backward()
            optimiser.step()
        with torch.no_grad():
            parts = zip(x[first:last].split(4 * BATCH), y[first:last].split(4 * BATCH), strict=True)
            loss = sum(float(loss_of(answers(part), label)) * len(label) for part, label in parts) / (last - first)
        if loss < best:
            best, kept = loss, copy.deepcopy(net.state_dict())
    net.load_state_dict(kept)
    with torch.no_grad():
        answers(x[last:]).sigmoid().numpy()
    return best


def _seconds(how: str) -> float:
    return float(said(python("-m", "benchmarks.train_overhead_torch", how), load_settings()).split()[0])


def _timed(how: str) -> str:
    train = {"ours": _ours, "bare": _bare}[how]
    rows = table(ROWS)
    train(rows.head(WARM))
    began = time.process_time()
    loss = train(rows)
    return f"{time.process_time() - began:.3f} s, validation loss {loss:.5f}"


if __name__ == "__main__":
    print(_timed(sys.argv[1]))
