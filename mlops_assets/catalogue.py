"""The declarations of a deployment, read without Dagster; what is wrong names file, line, what was found and what is known."""

import importlib.util
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from pathlib import Path
from typing import cast

import yaml
from pydantic import BaseModel, ValidationError

from mlops_assets.product import ModelProduct

TYPE = "mlops_assets.ModelProduct"
_Loc = tuple[int | str, ...]


class DeclarationError(ValueError):
    """A declaration is wrong; the message begins with file and line."""


@dataclass(frozen=True, kw_only=True)
class Catalogue:
    """The products that could be read, by name, and what is wrong with the others, by folder."""

    products: Mapping[str, ModelProduct]
    errors: Mapping[str, DeclarationError]

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


def read_catalogue(defs: Path) -> Catalogue:
    """Return every product declared below `defs`, in `<product>/defs.yaml` or as `product` in `<product>/product.py`."""
    products: dict[str, ModelProduct] = {}
    errors: dict[str, DeclarationError] = {}
    for folder in sorted(path for path in defs.iterdir() if path.is_dir()) if defs.exists() else []:
        try:
            product = read_folder(folder)
        except DeclarationError as error:
            errors[folder.name] = error
            continue
        if product is not None and product.name in products:
            errors[folder.name] = DeclarationError(f"{folder}: a second product is called {product.name!r}")
        elif product is not None:
            products[product.name] = product
    return Catalogue(products=products, errors=errors)


def read_folder(folder: Path) -> ModelProduct | None:
    """Return the product that `folder` declares, or None if it declares something else.

    Raises:
        DeclarationError: If it declares one wrongly.
    """
    if (folder / "defs.yaml").exists():
        return read_declaration(folder / "defs.yaml")
    if (folder / "product.py").exists():
        return _from_python(folder / "product.py")
    return None


def read_declaration(file: Path) -> ModelProduct | None:
    """Return the product declared in `file`, or None if the file declares another Dagster component.

    Raises:
        DeclarationError: If the YAML or a field is wrong.
    """
    try:
        node = cast("yaml.Node | None", yaml.compose(file.read_text(), yaml.SafeLoader))
        body: object = yaml.safe_load(file.read_text())
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise DeclarationError(f"{file}:{line}: not YAML: {error.problem}") from error
    fields = cast("dict[object, object]", body) if isinstance(body, dict) else {}
    if fields.get("type") != TYPE:
        return None
    if set(fields) != {"type", "attributes"} or not isinstance(fields["attributes"], dict):
        found = ", ".join(map(str, fields))
        raise DeclarationError(f"{file}:1: found the fields {found}; right is `type` and `attributes`, a map")
    try:
        return ModelProduct.model_validate(fields["attributes"])
    except ValidationError as error:
        lines = [_explained(file, node, problem["loc"], problem["msg"], problem["type"]) for problem in error.errors()]
        raise DeclarationError("\n".join(lines)) from error


def _explained(file: Path, node: yaml.Node | None, loc: _Loc, message: str, kind: str) -> str:
    line = _line(node, ("attributes", *loc))
    field = ".".join(["attributes", *map(str, loc)])
    message = message.removeprefix("Value error, ")
    if kind == "extra_forbidden":
        known = sorted(_fields(ModelProduct, loc[:-1]))
        near = get_close_matches(str(loc[-1]), known, n=1)
        message = f"no such field{f'; did you mean {near[0]!r}?' if near else ''}; known: {', '.join(known)}"
    return f"{file}:{line}: {field}: {message}"


def _fields(model: type[BaseModel], loc: _Loc) -> Iterator[str]:
    """Yield the known field names of the part of the declaration at `loc`."""
    for step in loc:
        annotation = model.model_fields[str(step)].annotation if str(step) in model.model_fields else None
        inner = [a for a in (annotation, *getattr(annotation, "__args__", ())) if isinstance(a, type)]
        parts = [a for a in inner if issubclass(a, BaseModel)]
        if not parts:
            return
        model = parts[0]
    yield from model.model_fields


def _line(node: yaml.Node | None, loc: _Loc) -> int:
    """Return the line of the deepest part of `loc` that the file has."""
    line = 1
    for step in loc:
        found = None
        if isinstance(node, yaml.MappingNode):
            found = next(((k, v) for k, v in node.value if k.value == str(step)), None)
        elif isinstance(node, yaml.SequenceNode) and isinstance(step, int) and step < len(node.value):
            found = (node.value[step], node.value[step])
        if found is None:
            break
        line, node = found[0].start_mark.line + 1, found[1]
    return line


def _from_python(file: Path) -> ModelProduct | None:
    spec = importlib.util.spec_from_file_location(f"mlops_assets.defs.{file.parent.name}.product", file)
    if spec is None or spec.loader is None:
        raise DeclarationError(f"{file}:1: not a Python module")
    module = importlib.util.module_from_spec(spec)
    try:
        spec.loader.exec_module(module)
    except (SyntaxError, ImportError, ValueError, TypeError, NameError, AttributeError) as error:
        raise DeclarationError(f"{file}: {error}") from error
    product = getattr(module, "product", None)
    return product if isinstance(product, ModelProduct) else None
