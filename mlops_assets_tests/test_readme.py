"""The README is true: its commands exist and run, its options, targets, paths, jobs and assets are there."""

import argparse
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest

from mlops_assets.cli import command_parser
from mlops_assets.definitions import build
from mlops_assets.settings import load_settings
from mlops_assets_tests.deployment import Deployment

ROOT = Path(__file__).resolve().parent.parent
README = (ROOT / "README.md").read_text()
PLACEHOLDER = re.compile(r"\b[A-Z]+\b|…|A\.\.\.B")


def section(title: str) -> str:
    """The text below a heading, up to the next one."""
    [found] = re.findall(rf"^## {title}.*?\n(.*?)(?=^## |\Z)", README, re.MULTILINE | re.DOTALL)
    return found


def blocks(text: str) -> list[str]:
    return re.findall(r"^```\w*\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def quoted(text: str) -> list[str]:
    """The inline code of a text."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"^```.*?^```", "", text, flags=re.MULTILINE | re.DOTALL))


def commands() -> Iterator[list[str]]:
    """Every `mlops-assets` command of the README, without the program's name, brackets and comments."""
    lines = [line for block in blocks(README) for line in block.splitlines()] + quoted(README)
    for line in lines:
        if line.startswith("mlops-assets "):
            yield shlex.split(line.translate(str.maketrans("", "", "[]")), comments=True)[1:]


def parsers() -> dict[str, argparse.ArgumentParser]:
    """The parser of each command."""
    [found] = [a for a in command_parser()._actions if isinstance(a, argparse._SubParsersAction)]
    return dict(found.choices)


def options(parser: argparse.ArgumentParser) -> set[str]:
    return {name for action in parser._actions for name in action.option_strings if name not in ("-h", "--help")}


def test_every_command_of_the_readme_is_parsed():
    found = list(commands())

    for words in found:
        filled = [PLACEHOLDER.sub("1", word) if PLACEHOLDER.fullmatch(word) else word for word in words]
        assert command_parser().parse_args(filled).command
    assert len(found) > 25


@pytest.mark.parametrize("name", sorted(parsers()))
def test_a_command_is_explained_and_all_its_options_are_in_the_readme(name: str):
    parser = parsers()[name]
    rows = [row for row in section("Commands").splitlines() if row.startswith(f"| `mlops-assets {name}")]

    assert parser.description
    assert len(rows) == 1
    told = set(re.findall(r"--[a-z-]+", rows[0]))
    assert told == options(parser) - {"--json"}


def test_commands_that_read_take_json():
    reading = {name for name, parser in parsers().items() if "--json" in options(parser)}

    assert reading == {
        "status",
        "predictions",
        "trace",
        "why",
        "alerts",
        "backtest",
        "costs",
        "replay",
        "traffic",
        "score",
    }


def test_every_make_target_is_there():
    named = set(re.findall(r"\bmake ([a-z]+)\b", "\n".join([*quoted(README), *blocks(section("Two commands"))])))
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))

    assert named >= {"demo", "test", "up", "check", "bench"}
    assert named <= targets


def test_every_path_of_the_folder_map_is_there():
    rows = [row for row in section("Where things are").splitlines() if row.startswith("| `")]
    named = [path for row in rows for path in quoted(row.split(" | ")[0])]

    assert [path for path in named if not (ROOT / path).exists()] == []
    packages = [path.name for path in (ROOT / "mlops_assets").iterdir() if (path / "__init__.py").exists()]
    assert [name for name in packages if f"mlops_assets/{name}/" not in named and name != "components"] == []


def test_every_job_asset_and_partition_of_the_readme_is_in_the_graph(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    for name in ("MLOPS_ASSETS_ROOT", "MLOPS_ASSETS_DEFS"):
        monkeypatch.delenv(name, raising=False)
    text = section("Dagster's own commands")
    definitions = build(load_settings(home=tmp_path))

    jobs = set(re.findall(r"\bloans_[a-z]+", text))
    assets = set(re.findall(r"\bloans/[a-z]+", text))
    graph = definitions.resolve_asset_graph()
    assert jobs == {"loans_data", "loans_retrain", "loans_seal", "loans_deploy"}
    assert [definitions.resolve_job_def(job).name for job in sorted(jobs)] == sorted(jobs)
    assert assets <= {key.to_user_string() for key in graph.get_all_asset_keys()}
    partitions = definitions.resolve_job_def("loans_data").partitions_def
    assert partitions is not None
    for key in re.findall(r"(?:north|south)\|[\d-]+", text):
        assert partitions.has_partition_key(key)


def test_it_is_no_longer_than_a_newcomer_reads():
    assert len(README.splitlines()) <= 220


@pytest.mark.slow
def test_the_seven_commands_for_own_data_run(tmp_path: Path):
    deployment = Deployment(folder=tmp_path)
    first, *_ = blocks(section("Your own data"))
    lines = [shlex.split(line, comments=True) for line in first.splitlines()]
    sample, init, backfill, serve, curl, predictions, trace = lines

    deployment.run(*sample[1:], "--rows", "2400")
    declared = deployment.run(*init[1:]).stdout
    made = deployment.run(*backfill[1:]).stdout
    with deployment.serving(serve[2]) as endpoint:
        status, headers, body = endpoint.infer(json.loads(curl[curl.index("-d") + 1]))
    listed = deployment.run(*predictions[1:]).stdout
    proof = deployment.run(*trace[1:-1], listed.split()[0]).stdout

    assert [line[:2] for line in lines[:4]] == [["mlops-assets", n] for n in ("sample", "init", "backfill", "serve")]
    assert (curl[0], curl[2]) == ("curl", f"localhost:8000/v2/models/{serve[2]}/infer")
    assert str(tmp_path / "defs" / "electricity" / "defs.yaml") in declared
    assert "electricity: everything is up to date" in made
    assert (status, headers["mlops-inference-id"]) == (200, listed.split()[0])
    assert 0 <= body["output"] <= 1
    assert "VERIFY      proven: every hash was computed anew and is right; " in proof
    kept = {path.name for path in deployment.home.iterdir() if path.suffix != ".lock" and path.name != "locks"}
    told = " ".join(quoted(section("Where things are")))
    assert [name for name in kept if name not in told] == []
