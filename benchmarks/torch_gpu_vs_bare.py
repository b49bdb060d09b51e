"""Images a second that a convolution learns from on a GPU, beside a bare PyTorch loop with the same network.

Both learn in bfloat16 from images that already lie on the GPU, in the same batches, and judge the validation images
after each epoch. `busy` is the share of our time in which the GPU computes. Without a GPU there is no figure.
"""

import time
from collections.abc import Callable

import numpy as np

from benchmarks.measure import fastest
from benchmarks.results import Result, result
from mlops_assets.training.model import ModelSpec
from mlops_assets.training.networks.convolution import CONVOLUTION
from mlops_assets.training.networks.descent import Course, descend
from mlops_assets.training.networks.forms import Examples, Tensors
from mlops_assets.training.networks.kinds import chosen

AIM = 0.95
ROUNDS, EPOCHS, BATCH = 3, 10, 512
IMAGES, SIDE, CHANNELS, CLASSES = 40_000, 32, 3, 10
NAME = "torch_gpu_vs_bare"


def measure() -> list[Result]:
    """Return the images a second, the loop's, and how busy the GPU is; nothing where there is none."""
    import torch

    if not torch.cuda.is_available():
        print(f"{NAME}: no GPU here, so there is no figure")
        return []
    return figures("cuda", IMAGES, EPOCHS)


def figures(device: str, images: int, epochs: int) -> list[Result]:
    """Return the rows, measured on a device; how busy it is only of a GPU."""
    course, start = _course(epochs), _start()
    rows, validation = _images(images, 0), _images(images // 4, 1)

    def ours() -> None:
        descend(course, CONVOLUTION, start, rows, validation, device=device)

    def bare() -> None:
        _bare(course, start, rows, validation, device)

    for run in (ours, bare):
        run()  # what is loaded and chosen on the first run does not count
    took = fastest(ROUNDS, lambda: _seconds(ours), lambda: _seconds(bare))
    rate, floor = (images * epochs / seconds for seconds in took)
    beside = "a bare PyTorch loop, same network and batches"
    found = [result(NAME, rate, "images/s", beside=beside, beside_figure=floor, aim=AIM, at_least=True)]
    return [*found, result(f"{NAME}/busy", _busy(ours), "share")] if device == "cuda" else found


def _course(epochs: int) -> Course:
    size = {"height": SIDE, "width": SIDE, "channels": CHANNELS}
    changed = {"epochs": epochs, "patience": epochs, "batch": BATCH, "shift": 0, "warp": 0, "smoothing": 0}
    _, params = chosen({"network": "convolution", **size, **changed})
    return Course(
        task="multiclass", architecture=CONVOLUTION.architecture(_spec(), params), params=dict(params), seed=0
    )


def _spec() -> ModelSpec:
    features = [f"p{place}" for place in range(SIDE * SIDE * CHANNELS)]
    return ModelSpec(kind="torch", task="multiclass", classes=[str(each) for each in range(CLASSES)], features=features)


def _start() -> Tensors:
    return CONVOLUTION.start(_spec(), _course(1).architecture, np.random.default_rng(0))


def _images(count: int, seed: int) -> Examples:
    random = np.random.default_rng(seed)
    dense = random.normal(size=(count, SIDE * SIDE * CHANNELS)).astype(np.float32)
    labels = random.integers(0, CLASSES, count).astype(np.float32)
    return Examples(dense=dense, codes=np.empty((count, 0), dtype=np.int32), labels=labels)


def _bare(course: Course, start: Tensors, rows: Examples, validation: Examples, device: str) -> None:
    import torch
    from torch.nn.functional import cross_entropy

    x, y, judged, truth = (
        torch.tensor(each, device=device) for each in (rows.dense, rows.labels, validation.dense, validation.labels)
    )
    net = _network(start).to(device)
    rate, decay = float(course.params["learning_rate"]), float(course.params["weight_decay"])
    optimiser = torch.optim.AdamW(net.parameters(), lr=rate, weight_decay=decay, fused=True)

    def loss(dense: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
        images = dense.view(-1, SIDE, SIDE, CHANNELS).permute(0, 3, 1, 2)
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            raw = net(images)
        return cross_entropy(raw.float(), labels.long())

    for _ in range(int(course.params["epochs"])):
        for places in torch.randperm(len(x)).to(device).split(BATCH):
            optimiser.zero_grad()
            loss(x.index_select(0, places), y.index_select(0, places)).backward()
            optimiser.step()
        with torch.no_grad():
            parts = zip(judged.split(4 * BATCH), truth.split(4 * BATCH), strict=True)
            float(sum(loss(part, labels) for part, labels in parts))


def _network(start: Tensors) -> "torch.nn.Module":  # noqa: F821
    """Return the network as one would write it, with layers of the sizes that `start` has."""
    from torch.nn import Conv2d, Flatten, Linear, MaxPool2d, Module, ReLU, Sequential

    layers: list[Module] = []
    for layer in range(sum(name.startswith("filter.") for name in start)):
        made, seen = start[f"filter.{layer}"].shape[:2]
        layers += [Conv2d(seen, made, 3, padding=1), ReLU(), *([MaxPool2d(2)] if layer else [])]
    (hidden, inputs), outputs = start["weight.0"].shape, len(start["weight.1"])
    return Sequential(*layers, Flatten(), Linear(inputs, hidden), ReLU(), Linear(hidden, outputs))


def _seconds(run: Callable[[], None]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


def _busy(run: Callable[[], None]) -> float:
    """Return the share of a run in which the GPU computes or copies."""
    from torch.profiler import ProfilerActivity, profile

    with profile(activities=[ProfilerActivity.CUDA]) as seen:
        took = _seconds(run)
    return sum(event.self_device_time_total for event in seen.key_averages()) / 1e6 / took
