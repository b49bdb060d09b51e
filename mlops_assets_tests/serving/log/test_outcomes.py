"""Outcomes are filed under the window of their prediction, and the newest of each counts."""

from datetime import UTC, datetime

import msgspec
import pytest

from mlops_assets.serving.log.ids import Ids, InferenceId, text, to_ms
from mlops_assets.serving.log.outcomes import Labels, OutcomeLog, filed_outcomes, outcomes, read_outcomes
from mlops_assets.serving.log.seal import drop_sealed, mark_sealed, seal
from mlops_assets.serving.log.writer import Body, Columns, LogWriter, Part, Row
from mlops_assets.serving.requests.refusal import Refused
from mlops_assets_tests.serving.loans import LOANS

DAYS = [datetime(2026, 1, day, 12, tzinfo=UTC) for day in (6, 7)]
LATER = datetime(2026, 3, 1, tzinfo=UTC)
COLUMNS = msgspec.Raw(msgspec.msgpack.encode(Columns([], [])))


@pytest.fixture
def predictions(tmp_path):
    """The ids of a prediction on each of two days, and of a batch of two on the second."""
    ids, log = Ids(), LogWriter(tmp_path / "log", LOANS.grid, "w1")
    made = []
    for day, rows in ((DAYS[0], [None]), (DAYS[1], [None]), (DAYS[1], [0, 1])):
        made.append(ids.new(to_ms(day)))
        parts = [Part("eu", 1, COLUMNS, [Row(index, None, 0.5, (), None) for index in rows])]
        log.append(made[-1], Body(1, "d1", parts))
    log.close()
    return made


def test_outcomes_are_filed_by_the_day_of_the_prediction_and_the_newest_counts(tmp_path, predictions):
    first, second, batch = predictions
    ids, log = Ids(), OutcomeLog(tmp_path / "outcomes", "w1")
    given = [
        (InferenceId(request=first), "0"),
        (InferenceId(request=batch, row=1), "1"),
        (InferenceId(request=second, row=0), "1"),
    ]

    log.append(ids.new(to_ms(LATER)), filed_outcomes(tmp_path, LOANS.grid, given))
    log.append(ids.new(to_ms(LATER) + 1), filed_outcomes(tmp_path, LOANS.grid, [(InferenceId(request=first), "1")]))

    assert outcomes(tmp_path, "2026-01-06").select("inference_id", "label").rows() == [(text(first), "1")]
    tuesday = outcomes(tmp_path, "2026-01-07")
    assert tuesday.select("inference_id", "label").rows() == [(text(second), "1"), (f"{text(batch)}.1", "1")]
    assert tuesday["received_at"].to_list() == [LATER, LATER]
    assert outcomes(tmp_path, "2026-01-08").height == 0


def test_an_outcome_is_told_from_an_invented_one_long_after_the_log_is_gone(tmp_path, predictions):
    for segment in LOANS.segments:
        mark_sealed(tmp_path, "2026-01-07", segment, seal(tmp_path, "2026-01-07", segment).digests)
    drop_sealed(tmp_path, "2026-01-07", LOANS.segments)
    invented = InferenceId(request=Ids().new(to_ms(DAYS[1])))

    filed = filed_outcomes(tmp_path, LOANS.grid, [(InferenceId(request=predictions[2], row=0), "1")])

    assert filed == {"2026-01-07": [(f"{text(predictions[2])}.0", "1")]}
    with pytest.raises(Refused, match=f"found {invented}, which was never given out"):
        filed_outcomes(tmp_path, LOANS.grid, [(invented, "1")])


@pytest.mark.parametrize(
    ("labels", "value", "expected"),
    [
        (Labels(classes=("0", "1")), 1, "1"),
        (Labels(classes=("0", "1")), 1.0, "1"),
        (Labels(classes=("0", "1")), "1", "1"),
        (Labels(classes=("false", "true")), True, "true"),
        (Labels(classes=("0", "1")), True, None),
        (Labels(classes=("0", "1")), 2, None),
        (Labels(classes=("0", "1")), None, None),
        (Labels(number=True), 2.5, "2.5"),
        (Labels(number=True), "2.5", None),
        (Labels(number=True), False, None),
        (Labels(), "anything", "anything"),
        (Labels(), [], None),
    ],
)
def test_a_label_is_text_as_the_model_s_classes_have_it(labels, value, expected):
    assert labels.read(value) == expected


def test_every_ill_formed_outcome_is_named():
    body = b'{"outcomes": [{"inference_id": 3, "label": 1}, {"inference_id": "x", "label": null}]}'

    with pytest.raises(Refused) as refused:
        read_outcomes(body, Labels())

    assert [(problem.row, problem.field) for problem in refused.value.problems] == [
        (0, "inference_id"),
        (1, "label"),
        (1, "inference_id"),
    ]
