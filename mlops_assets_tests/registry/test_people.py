"""The people file: read strictly, with the line of what is wrong; nobody counts while anything is."""

from pathlib import Path

import pytest

from mlops_assets.evidence.signed import new_key
from mlops_assets.registry.people.people import read_people


@pytest.fixture
def keys(tmp_path: Path) -> dict[str, str]:
    return {name: new_key(tmp_path / f"{name}.key") for name in ("ana", "joe")}


def written(folder: Path, text: str) -> Path:
    (folder / "people.yaml").write_text(text)
    return folder


def test_people_have_a_key_and_roles(tmp_path: Path, keys: dict[str, str]):
    lines = [f'  {name}: {{key: "{key}", roles: [{name}s]}}' for name, key in keys.items()]

    people = read_people(written(tmp_path, "people:\n" + "\n".join(lines)))

    assert people.problem == ""
    assert people.name_of(keys["joe"]) == "joe"
    assert people.holders("anas") == ("ana",)
    assert people.objection("ana", keys["ana"], "anas") == ""
    assert people.objection("ana", keys["joe"], "anas") == "ana has another key in people.yaml by now"
    assert people.objection("ana", keys["ana"], "joes") == "ana does not have the role 'joes' in people.yaml"
    assert people.objection("eve", keys["ana"], "anas") == "eve is not in people.yaml"


def test_without_a_file_there_is_nobody_and_nothing_wrong(tmp_path: Path):
    assert (read_people(tmp_path).by_name, read_people(tmp_path).problem) == ({}, "")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("people:\n  ana: {key: '$ana', rols: [risk]}", ":2: people.ana.rols: no such field; did you mean 'roles'?"),
        ("people:\n  ana: {roles: [risk]}", ":2: people.ana.key: it is missing; right is `people: {ana: {key:"),
        ("people:\n  ana:\n    key: abc", ":3: people.ana.key: 'abc' is no public key; right is the line that"),
        ("people:\n  ana:\n    key: 'ed25519:AAAA'", ":3: people.ana.key: 'ed25519:AAAA' is no public key"),
        ("people:\n  ana: {key: '$ana'}\n  joe:\n    key: '$ana'", ":4: people.joe.key: it is also that of ana;"),
        ("people:\n  ana: {key: '$ana'}\n  ana: {key: '$joe'}", ":3: people.ana: there twice; a name is one person's"),
        ("people:\n  Ana B: {key: '$ana'}", ":2: people.Ana B: right are small letters and digits, a letter first"),
        ("people:\n  ana: {key: '$ana', roles: [Risk]}", ":2: people.ana.roles.0: right are small letters"),
        ("peopel: {}", ":1: peopel: no such field; did you mean 'people'?; known: people"),
        ("- ana", ":1: people: it is missing"),
        ("people: {ana: [", ":1: not YAML: "),
        ("people:\n  ? [a]\n  : {key: '$ana'}", ":2: not YAML: found unhashable key"),
        ("\x00", ":1: not YAML: "),
    ],
)
def test_a_file_that_is_wrong_says_where_and_then_nobody_counts(
    tmp_path: Path, keys: dict[str, str], text: str, problem: str
):
    people = read_people(written(tmp_path, text.replace("$ana", keys["ana"]).replace("$joe", keys["joe"])))

    assert f"{tmp_path / 'people.yaml'}{problem}" in people.problem
    assert people.by_name == {}
    assert problem.split(": ")[-1] in people.objection("ana", keys["ana"], "risk")
