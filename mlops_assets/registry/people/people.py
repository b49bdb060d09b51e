"""`<defs>/people.yaml` -> who may sign what. A file that is wrong stops nothing, but then nobody counts."""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Annotated, NamedTuple, cast

import yaml
from pydantic import BeforeValidator, Field, ValidationError

from mlops_assets.evidence.records import digest
from mlops_assets.evidence.signed import public_bytes
from mlops_assets.located import line_of
from mlops_assets.parts import Part
from mlops_assets.product import ModelProduct

FILE = "people.yaml"
WAIVER = "waiver"  # the role that may waive a criterion


def _key(text: object) -> object:
    if isinstance(text, str):
        public_bytes(text)
    return text


Name = Annotated[str, Field(pattern=r"^[a-z][a-z0-9._-]*$", max_length=60)]
Role = Annotated[str, Field(pattern=r"^[a-z][a-z0-9_-]*$", max_length=60)]


class Person(Part):
    """A person's public key, and the roles in which they may agree; `waiver` may waive a criterion of the gate."""

    key: Annotated[str, BeforeValidator(_key)]
    roles: tuple[Role, ...] = ()


class _File(Part):
    people: dict[Name, Person]


class _Problem(NamedTuple):
    """One of the problems that pydantic found."""

    loc: tuple[int | str, ...]
    message: str
    kind: str


@dataclass(frozen=True, kw_only=True)
class People:
    """The people by name. `problem` says what is wrong with their file; then there are none. `sha256` is the file's."""

    by_name: Mapping[str, Person] = field(default_factory=dict[str, Person])
    problem: str = ""
    sha256: str = ""

    def name_of(self, key: str) -> str | None:
        """Return whose public key `key` is."""
        return next((name for name, person in self.by_name.items() if person.key == key), None)

    def objection(self, name: str, key: str, role: str) -> str:
        """Return why what `name` signed with `key` does not count for `role` today, or nothing if it does."""
        person = self.by_name.get(name)
        if person is None:
            return self.problem or f"{name} is not in {FILE}"
        if person.key != key:
            return f"{name} has another key in {FILE} by now"
        return "" if role in person.roles else f"{name} does not have the role {role!r} in {FILE}"

    def holders(self, role: str) -> tuple[str, ...]:
        """Return who has a role."""
        return tuple(name for name, person in self.by_name.items() if role in person.roles)


def check_roles(product: ModelProduct, people: People) -> None:
    """Check that every role that has to agree to a product's candidates is somebody's.

    Raises:
        ValueError: At the first that is nobody's; the message begins with the field.
    """
    for role in product.approval.roles if product.approval else ():
        if not people.holders(role):
            raise ValueError(f"approval.roles: nobody in {FILE} has the role {role!r}, so nothing can be promoted")


def read_people(defs: Path) -> People:
    """Return the people declared in `<defs>/people.yaml`; none without the file."""
    file = defs / FILE
    try:
        data = file.read_bytes()
    except FileNotFoundError:
        return People()
    except OSError as problem:
        return People(problem=f"{file}: cannot be read: {problem.strerror}")
    node: yaml.Node | None = None
    by_name: Mapping[str, Person] = {}
    try:
        node = cast("yaml.Node | None", yaml.compose(data, yaml.SafeLoader))
        by_name = _File.model_validate(_map(yaml.safe_load(data))).people
        problems = [f"{line}: {problem}" for line, problem in _twice(node, by_name)]
    except yaml.MarkedYAMLError as error:
        problems = [f"{error.problem_mark.line + 1 if error.problem_mark else 1}: not YAML: {error.problem}"]
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problems = [f"1: not YAML: {error}"]
    except ValidationError as error:
        problems = [_explained(node, _Problem(each["loc"], each["msg"], each["type"])) for each in error.errors()]
    told = "\n".join(f"{file}:{problem}" for problem in problems)
    return People(by_name={} if told else by_name, problem=told, sha256=digest(data))


def _map(body: object) -> dict[object, object]:
    return cast("dict[object, object]", body) if isinstance(body, dict) else {}


def _explained(node: yaml.Node | None, problem: _Problem) -> str:
    """Return line, field, and what is wrong with it."""
    loc, text = problem.loc, problem.message.removeprefix("Value error, ")
    if problem.kind == "extra_forbidden":
        known = sorted((Person if len(loc) > 1 else _File).model_fields)
        near = get_close_matches(str(loc[-1]) if loc else "", known, n=1)
        text = f"no such field{f'; did you mean {near[0]!r}?' if near else ''}; known: {', '.join(known)}"
    elif problem.kind == "missing":
        text = "it is missing; right is `people: {ana: {key: 'ed25519:…', roles: [business]}}`"
    elif problem.kind == "string_pattern_mismatch":
        text = "right are small letters and digits, a letter first"
    return f"{line_of(node, loc)}: {'.'.join(str(step) for step in loc if step != '[key]')}: {text}"


def _twice(node: yaml.Node | None, found: Mapping[str, Person]) -> list[tuple[int, str]]:
    """Return line and words of each name or key that is there twice: one person could then fill two roles."""
    problems = {
        name: (line, f"people.{name}: there twice; a name is one person's") for name, line in _repeated(node, "people")
    }
    keys = Counter(person.key for person in found.values())
    shared = {name: person.key for name, person in found.items() if keys[person.key] > 1}
    for name in shared:
        others = ", ".join(other for other, key in shared.items() if key == shared[name] and other != name)
        line = line_of(node, ("people", name, "key"))
        problems.setdefault(name, (line, f"people.{name}.key: it is also that of {others}; a key is one person's"))
    return sorted(problems.values())


def _repeated(node: yaml.Node | None, field: str) -> Iterator[tuple[str, int]]:
    """Yield name and line of each entry of a map that has the name of an earlier one; YAML itself keeps the last."""
    found = next((value for name, value in _entries(node) if name.value == field), None)
    seen: set[str] = set()
    for name, _ in _entries(found):
        if name.value in seen:
            yield name.value, name.start_mark.line + 1
        seen.add(name.value)


def _entries(node: yaml.Node | None) -> list[tuple[yaml.ScalarNode, yaml.Node]]:
    return cast("list[tuple[yaml.ScalarNode, yaml.Node]]", node.value) if isinstance(node, yaml.MappingNode) else []
