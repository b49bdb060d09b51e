"""`mlops-assets backtest`: what it prints, what it writes, what it refuses."""

import json
from pathlib import Path

import pytest

from mlops_assets.cli import main
from mlops_assets_tests.backtest.conftest import SWITCH, Made
from mlops_assets_tests.tiny import NAME, Tiny


@pytest.fixture
def deployed(turned: Made, monkeypatch: pytest.MonkeyPatch) -> str:
    return _deployed(turned.tiny, monkeypatch)


def test_table_plot_and_page_are_written(deployed: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    code = main(["--home", deployed, "backtest", NAME, "--jobs", "1", "--out", str(tmp_path / "out")])

    said = capsys.readouterr().out
    written = {path.name: path for path in (tmp_path / "out").iterdir()}
    page = written["backtest.html"].read_text()
    assert code == 0
    assert "11/11 model of" in said
    assert "→ on drift" in said
    assert "Caution: only 9 occasions to retrain" in said
    assert set(written) == {"backtest.json", "backtest.png", "backtest.html"}
    assert written["backtest.png"].read_bytes().startswith(b"\x89PNG")
    assert "data:image/png;base64," in page
    assert "http" not in page.replace("https://", "http").split("base64,")[0]
    assert json.loads(written["backtest.json"].read_text())["segment"] == "all"


def test_json_is_all_that_is_printed_and_it_is_the_same_again(deployed: str, capsys: pytest.CaptureFixture[str]):
    arguments = ["--home", deployed, "backtest", NAME, "--jobs", "1", "--json"]

    codes = [main(arguments), main(arguments)]

    first, second = capsys.readouterr().out.split("\n]\n")[:2]
    [table] = json.loads(first + "\n]")
    assert codes == [0, 0]
    assert first == second
    [declared] = [row for row in table["policies"] if row["declared"]]
    assert (declared["policy"], declared["retrained_on"]) == ("on drift", [SWITCH])


def test_what_cannot_be_replayed_is_refused(deployed: str, tiny_product: Tiny, capsys: pytest.CaptureFixture[str]):
    codes = [
        main(["--home", deployed, "backtest", "nobody"]),
        main(["--home", deployed, "backtest", NAME, "--segment", "moon"]),
        main(["--home", deployed, "backtest", NAME, "--jobs", "0"]),
        main(["--home", str(tiny_product.settings.home), "backtest", NAME]),
    ]

    said = capsys.readouterr().err
    assert codes == [4, 4, 1, 1]
    assert "no segment 'moon'; known segments: all" in said
    assert "--jobs is 0; right is 1 or more" in said
    assert "make them first: mlops-assets backfill tiny" in said


def _deployed(tiny: Tiny, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("MLOPS_ASSETS_ROOT", str(tiny.settings.root))
    monkeypatch.setenv("MLOPS_ASSETS_DEFS", str(tiny.settings.defs))
    return str(tiny.settings.home)
