"""The declarations of a deployment, read without Dagster; errors name file, line, what was found and what is known."""

import importlib.util
import traceback
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import NamedTuple, cast, get_args

import yaml
from pydantic import BaseModel, ValidationError

from mlops_assets import product as declaration
from mlops_assets.intake.functions import BROKEN_CODE
from mlops_assets.located import line_of
from mlops_assets.product import ModelProduct
from mlops_assets.rules import Searched, Trainer
from mlops_assets.settings import Settings

TYPE = "mlops_assets.ModelProduct"
_Loc = tuple[int | str, ...]


class _Problem(NamedTuple):
    """One of the problems that pydantic found."""

    loc: _Loc
    message: str
    kind: str


class DeclarationError(ValueError):
    """A declaration is wrong; the message begins with file and line."""


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """The products that could be read and their files, by name, and what is wrong with the others, by folder."""

    products: Mapping[str, ModelProduct]
    errors: Mapping[str, DeclarationError]
    files: Mapping[str, Path]

    def product(self, name: str) -> ModelProduct:
        """Return the product called `name`.

        Raises:
            DeclarationError: If its declaration is wrong.
            LookupError: If there is none.
        """
        if name in self.errors:
            raise self.errors[name]
        if name not in self.products:
            raise LookupError(f"no product {name!r}; known products: {', '.join(sorted(self.products)) or 'none'}")
        return self.products[name]

    def wrong(self, name: str, problem: Exception) -> DeclarationError:
        """Return a problem of the product `name` with file and line; it begins with the field that it is about."""
        return DeclarationError(_located(self.files[name], str(problem)))


def read_catalogue(defs: Path) -> Catalogue:
    """Return all products declared below `defs`, in `<product>/defs.yaml` or as `product` in `<product>/product.py`."""
    products: dict[str, ModelProduct] = {}
    errors: dict[str, DeclarationError] = {}
    files: dict[str, Path] = {}
    for folder in sorted(path for path in defs.iterdir() if path.is_dir()) if defs.exists() else []:
        try:
            product = read_folder(folder)
        except DeclarationError as error:
            errors[folder.name] = error
            continue
        if product is not None and product.name in products:
            first = files[product.name]
            errors[folder.name] = DeclarationError(f"{folder}: a product called {product.name!r} is in {first} already")
        elif product is not None:
            products[product.name], files[product.name] = product, _file(folder)
    return Catalogue(products=products, errors=errors, files=files)


def check_product(product: ModelProduct, settings: Settings) -> None:
    """Check that source, columns, functions and trainer parameters are as the declaration names them.

    Raises:
        ValueError: At the first that is not; the message begins with the field.
    """
    from mlops_assets.evidence.archive import Archive
    from mlops_assets.intake.ingest import check_declaration

    check_declaration(Archive(settings.home), product, settings.root)
    _check_trainer("trainer", product.trainer)
    for place, each in enumerate(product.search.trainers if product.search else ()):
        _check_trainer(f"search.trainers.{place}", each)


def _check_trainer(field: str, asked: Trainer | Searched) -> None:
    from mlops_assets.training.networks.kinds import chosen
    from mlops_assets.training.trainers import trainer_named

    try:
        trainer_named(asked.kind)
    except LookupError as problem:
        raise ValueError(f"{field}.kind: {problem.args[0]}") from problem
    try:
        trainer_named(asked.kind, asked.params)
        if asked.kind == "torch" and isinstance(asked, Trainer):
            chosen(asked.params)
    except (LookupError, ValueError) as problem:
        raise ValueError(f"{field}.params: {problem.args[0]}") from problem


def read_folder(folder: Path) -> ModelProduct | None:
    """Return the product that `folder` declares, or None if it declares something else.

    Raises:
        DeclarationError: If it declares one wrongly.
    """
    file = _file(folder)
    if not file.exists():
        return None
    return read_declaration(file) if file.suffix == ".yaml" else _from_python(file)


def read_declaration(file: Path) -> ModelProduct | None:
    """Return the product declared in `file`, or None if the file declares another Dagster component.

    Raises:
        DeclarationError: If the YAML or a field is wrong.
    """
    try:
        node = _node(file)
        body: object = yaml.safe_load(file.read_text())
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DeclarationError(f"{file}:{line}: not YAML: {error.problem}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise DeclarationError(f"{file}:1: not YAML: {error}") from error
    fields = cast("dict[object, object]", body) if isinstance(body, dict) else {}
    if fields.get("type") != TYPE:
        return None
    if set(fields) != {"type", "attributes"} or not isinstance(fields["attributes"], dict):
        found = ", ".join(map(str, fields))
        raise DeclarationError(f"{file}:1: found the fields {found}; right is `type` and `attributes`, a map")
    try:
        return ModelProduct.model_validate(fields["attributes"])
    except ValidationError as error:
        raise DeclarationError("\n".join(_explained(file, node, each) for each in _problems(error))) from error


def _file(folder: Path) -> Path:
    return folder / "defs.yaml" if (folder / "defs.yaml").exists() else folder / "product.py"


def _node(file: Path) -> yaml.Node | None:
    return cast("yaml.Node | None", yaml.compose(file.read_text(), yaml.SafeLoader))


def _located(file: Path, problem: str) -> str:
    """Return `problem` with the file and, in YAML, the line of the field that it begins with."""
    if file.suffix != ".yaml":
        return f"{file}: {problem}"
    loc = tuple(int(step) if step.isdigit() else step for step in problem.partition(":")[0].split("."))
    named = loc[0] in ModelProduct.model_fields
    line = line_of(_node(file), ("attributes", *loc) if named else ("attributes",))
    return f"{file}:{line}: {'attributes.' if named else ''}{problem}"


def _problems(error: ValidationError) -> list[_Problem]:
    return [_Problem(each["loc"], each["msg"], each["type"]) for each in error.errors()]


def _explained(file: Path, node: yaml.Node | None, problem: _Problem) -> str:
    if not problem.loc:
        return _located(file, _said(problem))
    line = line_of(node, ("attributes", *problem.loc))
    return f"{file}:{line}: attributes.{_field(problem)}: {_said(problem)}"


def _field(problem: _Problem) -> str:
    """Return the dotted name of a field, without the types that pydantic tried for it."""
    return ".".join(str(step) for step in problem.loc if "[" not in str(step))


def _said(problem: _Problem, part: type[BaseModel] = ModelProduct) -> str:
    """Return what pydantic found, and for a misspelt field of `part` those that are known."""
    loc = problem.loc
    if problem.kind != "extra_forbidden":
        return problem.message.removeprefix("Value error, ")
    known = sorted(_fields(part, loc[:-1]))
    near = get_close_matches(str(loc[-1]), known, n=1)
    return f"no such field{f'; did you mean {near[0]!r}?' if near else ''}; known: {', '.join(known)}"


def _fields(model: type[BaseModel], loc: _Loc) -> Iterator[str]:
    """Yield the known field names of the part of the declaration at `loc`."""
    for step in loc:
        if str(step) not in model.model_fields:  # a key of a map of parts, or a place in a list of them
            continue
        parts = list(_parts(model.model_fields[str(step)].annotation))
        if not parts:
            return
        model = parts[0]
    yield from model.model_fields


def _parts(annotation: object) -> Iterator[type[BaseModel]]:
    """Yield the parts of a declaration that a field may hold, in lists, maps and alternatives too."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
    for inner in get_args(annotation):
        yield from _parts(inner)


def _from_python(file: Path) -> ModelProduct:
    spec = importlib.util.spec_from_file_location(f"mlops_assets.defs.{file.parent.name}.product", file)
    if spec is None or spec.loader is None:
        raise DeclarationError(f"{file}:1: not a Python module")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except ValidationError as error:
        where, part = f"{file}:{_raised(file, error)}", getattr(declaration, error.title, ModelProduct)
        said = (f"{_field(each)}: {_said(each, part)}".removeprefix(": ") for each in _problems(error))
        raise DeclarationError("\n".join(f"{where}: {each}" for each in said)) from error
    except BROKEN_CODE as error:
        raise DeclarationError(f"{file}:{_raised(file, error)}: {type(error).__name__}: {error}") from error
    product = getattr(module, "product", None)
    if not isinstance(product, ModelProduct):
        raise DeclarationError(f"{file}:1: found no `product`; right is `product = ModelProduct(...)`")
    return product


def _raised(file: Path, error: Exception) -> int:
    """Return the line of `file` at which `error` was raised."""
    if isinstance(error, SyntaxError) and error.lineno is not None:
        return error.lineno
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if frame.filename == str(file)]
    return lines[-1] or 1 if lines else 1
