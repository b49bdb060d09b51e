"""What a backfill says of data that fails its checks, and of a candidate that the gate refused."""

import polars as pl
import pytest

from mlops_assets.evidence.archive import Archive
from mlops_assets.operations.backfill import backfill
from mlops_assets_tests.tiny import NAME, Tiny


def run(tiny: Tiny) -> int:
    return backfill(tiny.settings, NAME, stage=None, windows=None, segments=None, dry_run=False)


def test_a_refused_candidate_is_judged_again_once_the_gates_rules_have_changed(
    tiny_product: Tiny, capsys: pytest.CaptureFixture[str]
):
    declared = tiny_product.settings.defs / NAME / "defs.yaml"
    plain = declared.read_text()
    strict = "floor: 0.6, robustness: {lost_column: true, drop: 0}"
    declared.write_text(plain.replace("floor: 0.6", strict))

    assert run(tiny_product) == 1
    assert run(tiny_product) == 1
    assert "no champion yet: tiny@1 was refused by gate: robustness: with " in capsys.readouterr().out.splitlines()[-1]
    declared.write_text(plain)
    assert run(tiny_product) == 0

    champion = Archive(tiny_product.settings.home).ledger.champion(NAME, "all")
    assert champion is not None
    assert champion.version == 1


def test_data_that_fails_a_check_is_named_with_what_is_wrong_in_it(
    tiny_product: Tiny, capsys: pytest.CaptureFixture[str]
):
    source = tiny_product.settings.root / "tiny.csv"
    rows = pl.read_csv(source, infer_schema=False)
    rows = rows.with_columns(width=pl.when(pl.int_range(pl.len()) == 7).then(pl.lit("wide")).otherwise("width"))
    rows.write_csv(source)
    declared = tiny_product.settings.defs / NAME / "defs.yaml"
    declared.write_text(declared.read_text() + "  columns: {width: float}\n")

    assert run(tiny_product) == 1

    assert "dataset: schema: [\"width: 'wide' is not a float\"]" in capsys.readouterr().out
