"""Where a training runs follows from what it asks for and what is there."""

import pytest

from mlops_assets.training.machine import CPU, Machine, Place, in_words, placed


@pytest.mark.parametrize(
    ("machine", "found", "place"),
    [
        (CPU, 0, Place(device="cpu")),
        (CPU, 4, Place(device="cpu")),
        (Machine(gpus=1), 4, Place(device="cuda")),
        (Machine(gpus=2), 2, Place(device="cuda", processes=2)),
        (Machine(gpus=1, cpu_if_no_gpu=True), 0, Place(device="cpu")),
        (Machine(gpus=4, cpu_if_no_gpu=True), 2, Place(device="cuda", processes=2)),
    ],
)
def test_a_training_gets_what_it_asks_for_or_what_it_may_do_with(machine: Machine, found: int, place: Place):
    assert placed(machine, found) == place


@pytest.mark.parametrize(("gpus", "found", "words"), [(1, 0, "1 GPU, found 0"), (4, 2, "4 GPUs, found 2")])
def test_too_few_gpus_are_refused_with_what_would_be_right(gpus: int, found: int, words: str):
    with pytest.raises(ValueError, match=f"{words}; right is .*`compute: {{cpu_if_no_gpu: true}}`"):
        placed(Machine(gpus=gpus), found)


def test_where_it_ran_is_said_with_what_was_asked_for_where_that_differs():
    asked = Machine(gpus=2, cpu_if_no_gpu=True)

    assert in_words(Place(), CPU) == "cpu"
    assert in_words(Place(device="cuda", processes=2), asked) == "cuda x 2"
    assert in_words(Place(device="cuda"), asked) == "cuda (asked for 2 GPUs)"
    assert in_words(Place(), asked) == "cpu (asked for 2 GPUs)"
