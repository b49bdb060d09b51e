"""A search: all that was tried is kept, the least loss wins, and the same recipe finds the same winner."""

import logging
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from pydantic import ValidationError

from mlops_assets.evidence.archive import Archive
from mlops_assets.evidence.step import NotReady
from mlops_assets.operations.status import validate
from mlops_assets.product import ModelProduct, Stage
from mlops_assets.rules import Compute, Range, Search, Searched, Trainer
from mlops_assets.settings import Settings
from mlops_assets.testing import example
from mlops_assets.training.built import trials_of
from mlops_assets.training.machine import Machine
from mlops_assets.training.metrics import log_loss, rmse
from mlops_assets.training.model import label_codes, to_matrix
from mlops_assets.training.search import searched
from mlops_assets.training.trainers import load_predictor, trainer_named
from mlops_assets.training.training_set import parts
from mlops_assets_tests.houses import HOUSES, deployment, make, partitions
from mlops_assets_tests.training import own_trainers

OWN = own_trainers.__name__
TREES = Searched(
    kind="lightgbm",
    params={
        "num_iterations": 10,
        "num_leaves": Range(low=2, high=16),
        "learning_rate": Range(low=0.01, high=0.5, log=True),
    },
)
RIDGE = Searched(kind=f"{OWN}.ridge", params={"ridge": (0.1, 1.0, 10.0)})
BATH, BATH_2 = partitions()[0], partitions()[2]


def test_the_winner_has_the_least_loss_on_the_rows_that_all_trainers_choose_by():
    data = example()

    trained = searched(Search(trainers=(TREES, RIDGE), trials=8), data, 0)

    [won] = [trial for trial in trained.trials if trial.won]
    assert won.loss == min(trial.loss for trial in trained.trials if trial.loss is not None)
    rows = parts(data, 0).validation
    scores = load_predictor(trained.spec, trained.model_bytes)(to_matrix(data.features[rows], trained.spec))
    assert won.loss == log_loss(label_codes(data.labels[rows], trained.spec), scores)
    assert {trial.kind for trial in trained.trials} == {"lightgbm", f"{OWN}.ridge"}
    assert trainer_named(won.kind)(data, won.params, 0).model_bytes == trained.model_bytes
    assert not trained.cut_short


def test_every_parameter_is_one_that_was_declared():
    trained = searched(Search(trainers=(TREES, RIDGE), trials=12), example(), 3)

    trees = [trial.params for trial in trained.trials if trial.kind == "lightgbm"]
    assert {type(each["num_leaves"]) for each in trees} == {int}
    assert all(2 <= int(each["num_leaves"]) <= 16 and 0.01 <= float(each["learning_rate"]) <= 0.5 for each in trees)
    assert {each["num_iterations"] for each in trees} == {10}
    assert {trial.params["ridge"] for trial in trained.trials if trial.kind != "lightgbm"} <= {0.1, 1, 10}


def test_the_same_seed_finds_the_same_winner_and_another_may_try_others():
    search = Search(trainers=(TREES, RIDGE), trials=6)

    first, again, other = (searched(search, example(), seed) for seed in (0, 0, 1))

    assert (first.trials, first.model_bytes) == (again.trials, again.model_bytes)
    assert [trial.params for trial in first.trials] != [trial.params for trial in other.trials]


def test_the_losses_of_trainers_are_in_one_unit():
    """A network minimises the squared error of standardised labels, trees its root: neither is what is compared."""
    data = example()
    amounts = replace(data, labels=1000 * data.labels.cast(float) + data.features["rooms"], task="regression")
    network = Searched(kind="torch", params={"epochs": 3})

    trained = searched(Search(trainers=(TREES, network), trials=2), amounts, 0)

    rows = parts(amounts, 0).validation
    for trial in trained.trials:
        model = trainer_named(trial.kind)(amounts, trial.params, 0)
        scores = load_predictor(model.spec, model.model_bytes)(to_matrix(amounts.features[rows], model.spec))
        assert trial.loss == rmse(label_codes(amounts.labels[rows], model.spec), scores) > 100


def test_a_trial_that_fails_is_recorded_and_the_others_go_on():
    wrong = Searched(kind="lightgbm", params={"num_leaves": 1, "num_iterations": 5})
    broken = Searched(kind=f"{OWN}.fails")
    silent = Searched(kind=f"{OWN}.undeclared")

    trained = searched(Search(trainers=(wrong, broken, silent, RIDGE), trials=4), example(), 0)

    problems = [trial.problem for trial in trained.trials]
    assert [trial.loss is None for trial in trained.trials] == [True, True, True, False]
    assert "num_leaves" in problems[0]
    assert "fails failed at line" in problems[1]
    assert "right is `validation=parts(features, seed).validation`" in problems[2]
    assert trained.spec.kind == f"{OWN}.ridge"


def test_a_search_of_which_every_trial_fails_says_of_what_the_first_did():
    with pytest.raises(ValueError, match=r"each of 1 trials failed; the first, .*fails: .*: KeyError: 'street'"):
        searched(Search(trainers=(Searched(kind=f"{OWN}.fails"),), trials=3), example(), 0)


def test_what_is_proposed_again_is_not_trained_again(caplog: pytest.LogCaptureFixture):
    with caplog.at_level(logging.INFO, "mlops_assets.training.search"):
        trained = searched(Search(trainers=(RIDGE,), trials=9), example(), 0)

    assert len(trained.trials) == 3
    assert caplog.records[0].message.startswith(f"trial 1 of 9: {OWN}.ridge ridge=")
    assert len(caplog.records) == 3
    assert "log_loss 0." in caplog.records[0].message


def ticking(minutes: float) -> Iterator[float]:
    at = 0.0
    while True:
        yield at
        at += 60 * minutes


def test_minutes_end_a_search_and_it_says_so():
    clock = ticking(2.0)

    trained = searched(Search(trainers=(TREES,), trials=50, minutes=5), example(), 0, clock=lambda: next(clock))

    assert (len(trained.trials), trained.cut_short) == (3, True)
    assert searched(Search(trainers=(TREES,), trials=2, minutes=5), example(), 0).cut_short is False


def test_each_trial_and_choice_of_windows_has_a_folder_of_its_own(tmp_path: Path):
    seen: list[Path | None] = []
    own_trainers.ON_LEARN = lambda machine: seen.append(machine.checkpoints)
    data = replace(example(), forget=True, machine=Machine(checkpoints=tmp_path))

    searched(Search(trainers=(RIDGE,), trials=2), data, 0)

    own_trainers.ON_LEARN = None
    tried = len(seen) // 2
    assert seen[:2] == [tmp_path / "trial-1" / "windows-1", tmp_path / "trial-1" / "windows-2"]
    assert len(set(seen)) == 2 * tried


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """Two weeks of houses, of Bath's the data made."""
    found = deployment(tmp_path)
    for partition in (BATH, BATH_2):
        make(found, HOUSES, partition)
    return found


def searching(*trainers: Searched, trials: int = 3, forget: bool = False) -> ModelProduct:
    search = Search(trainers=trainers, trials=trials)
    return HOUSES.model_copy(update={"trainer": Trainer(windows=2, forget=forget), "search": search})


def test_the_record_has_all_trials_and_which_won(settings: Settings):
    archive = Archive(settings.home)
    small = TREES.model_copy(update={"params": {**TREES.params, "min_data_in_leaf": 5}})

    held = make(settings, searching(small, RIDGE, forget=True), BATH_2, Stage.MODEL)[Stage.MODEL]

    facts, trials = held.record.facts, trials_of(archive, held)
    assert [each["trainer"] for each in facts["search"]] == [trial.kind for trial in trials]
    assert [each["loss"] for each in facts["search"]] == [trial.loss for trial in trials]
    [won] = [trial for trial, each in zip(trials, facts["search"], strict=True) if each.get("won")]
    assert (won.won, facts["trainer"], facts["search_cut_short"]) == (True, won.kind, False)
    assert won.history
    assert facts["windows_used"] in (1, 2)
    assert make(settings, searching(small, RIDGE, forget=True), BATH_2, Stage.MODEL)[Stage.MODEL].skipped


def test_a_search_that_cannot_be_won_makes_no_model(settings: Settings):
    with pytest.raises(NotReady, match=r"houses/model\[bath\|2026-01-12\]: search: each of 1 trials failed"):
        make(settings, searching(Searched(kind=f"{OWN}.fails")), BATH_2, Stage.MODEL)


def test_threads_are_those_that_the_training_asks_for_and_are_in_its_recipe(settings: Settings):
    product = searching(TREES, trials=1).model_copy(update={"compute": Compute(cpu=2.5)})

    held = make(settings, product, BATH_2, Stage.MODEL)[Stage.MODEL]

    assert held.record.facts["trainer_params"]["num_threads"] == 2
    assert held.record.params["search"]["trainers"][0]["params"]["num_threads"] == 2


def test_a_declaration_that_names_trainers_twice_is_refused():
    body = searching(TREES).model_dump(mode="json")

    with pytest.raises(ValidationError, match="leave `kind` and `params` out of `trainer`"):
        ModelProduct.model_validate({**body, "trainer": {"kind": "lightgbm", "params": {}, "windows": 2}})
    assert ModelProduct.model_validate({**body, "trainer": {"windows": 2}}).search is not None


WRONG = {
    "num_leaves: {low: 9, high: 3}": ".params.num_leaves: low is 9, high is 3; right is low < high",
    "num_leaves: {lo: 2, low: 1, high: 3}": ".params.num_leaves.lo: no such field; did you mean 'low'?; known: hi",
    "num_leavs: [2, 3]": ".params: no parameter 'num_leavs' of trainer lightgbm (did you mean 'num_leaves'?); known: ",
}


@pytest.mark.parametrize("params", WRONG)
def test_what_is_wrong_with_a_declared_search_is_named_with_file_and_line(settings: Settings, params: str):
    file = settings.defs / "houses" / "defs.yaml"
    file.parent.mkdir(parents=True)
    file.write_text(
        "type: mlops_assets.ModelProduct\nattributes:\n  name: houses\n  source: {path: houses.csv, key: id}\n"
        f"  label: {{column: sold}}\n  features: [price]\n  search:\n    trainers:\n"
        f"      - {{kind: lightgbm, params: {{{params}}}}}\n"
    )

    [said] = validate(settings)

    assert said.startswith(f"{file}:9: attributes.search.trainers.0{WRONG[params]}")
