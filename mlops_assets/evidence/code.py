"""Which code a step runs: its modules' source, that of what they import from the project, and library versions."""

import ast
import hashlib
import importlib.metadata
import importlib.util
import subprocess
import sys
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

import msgspec

from mlops_assets.evidence.records import Code
from mlops_assets.settings import PACKAGE, image

LIBRARIES = ("polars", "numpy", "lightgbm", "torch")
PLATFORM = (
    "mlops_assets.evidence",
    "mlops_assets.parts",
    "mlops_assets.product",
    "mlops_assets.rules",
    "mlops_assets.settings",
    "mlops_assets.windows",
)
USERS = ("mlops_assets.defs.", "mlops_assets.features.images")  # what a declaration may choose, with its libraries


@cache
def code_id(*modules: str) -> str:
    """Return the sha256 of `modules`, of all that they import from their own top-level packages, and of the libraries.

    Comments, docstrings and layout do not count. The platform (records, declaration, windows) does not either: what it
    puts into a step is in the recipe by value.

    Raises:
        ModuleNotFoundError: If a module does not exist.
    """
    body = [f"{name} {_read(name)[0]}" for name in _closure(modules)]
    body += [f"{name}=={version}" for name, version in libraries(*modules).items()]
    return hashlib.sha256("\n".join(body).encode()).hexdigest()


def libraries(*modules: str) -> dict[str, str]:
    """Return the versions of the libraries that the platform computes with, and of those that users' modules import."""
    own = _tops(modules)
    users = [name for name in _closure(modules) if not name.startswith("mlops_assets.") or name.startswith(USERS)]
    named = {imported.partition(".")[0] for name in users for imported in _read(name)[1]}
    foreign = named - own - set(LIBRARIES) - sys.stdlib_module_names
    return {name: _version(name) for name in (*LIBRARIES, *sorted(foreign))}


@cache
def sources(*modules: str) -> dict[str, bytes]:
    """Return the source files, by path, of `modules`, of all that they import from their own packages, and of these."""
    names = set(_closure(modules, without=()))
    names |= {".".join(parts[:end]) for name in names for parts in [name.split(".")] for end in range(1, len(parts))}
    specs = {name: importlib.util.find_spec(name) for name in sorted(names)}
    packages = {name for name, spec in specs.items() if spec and spec.submodule_search_locations is not None}
    return {name.replace(".", "/") + ("/__init__.py" if name in packages else ".py"): _source(name) for name in specs}


def distribution(library: str) -> str | None:
    """Return the name under which a library is installed, None if it is not: the module sklearn is scikit-learn's."""
    try:
        importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return min(_distributions().get(library, []), default=None)
    return library


def origin(code: str) -> Code:
    """Return where the running code came from: commit, whether it differs from it, lock file and image."""
    return msgspec.structs.replace(_origin(), id=code)


@cache
def _origin() -> Code:
    lock = PACKAGE.parent / "constraints.txt"
    return Code(
        id="",
        commit=_git("rev-parse", "HEAD"),
        dirty=None if (status := _git("status", "--porcelain", "--", str(PACKAGE))) is None else bool(status),
        lock=hashlib.sha256(lock.read_bytes()).hexdigest() if lock.exists() else None,
        image=image(),
    )


def _closure(modules: tuple[str, ...], without: tuple[str, ...] = PLATFORM) -> list[str]:
    """Return `modules` and all that they import from their own top-level packages, sorted; not the platform."""
    seen: set[str] = set()
    waiting, own = list(modules), _tops(modules)
    while waiting:
        module = waiting.pop()
        if module in seen or module.startswith(without):
            continue
        seen.add(module)
        waiting += [name for name in _read(module)[1] if name.partition(".")[0] in own and _is_module(name)]
    return sorted(seen)


def _tops(modules: tuple[str, ...]) -> set[str]:
    return {module.partition(".")[0] for module in modules} | {"mlops_assets"}


@cache
def _read(module: str) -> tuple[str, tuple[str, ...]]:
    """Return the sha256 of what a module means, and which modules it imports."""
    tree = ast.parse(_source(module))
    spec = importlib.util.find_spec(module)
    imported = tuple(_imports(tree, spec.parent if spec else None))
    return hashlib.sha256(_meaning(tree)).hexdigest(), imported


def _source(module: str) -> bytes:
    spec = importlib.util.find_spec(module)
    if spec is None:
        raise ModuleNotFoundError(f"no module {module!r}", name=module)
    return Path(spec.origin).read_bytes() if spec.origin and spec.origin.endswith(".py") else b""


def _meaning(tree: ast.Module) -> bytes:
    for node in ast.walk(tree):
        documented = isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef)
        if documented and ast.get_docstring(node, clean=False):
            node.body = node.body[1:]
    return ast.dump(tree).encode()


def _imports(tree: ast.Module, package: str | None) -> Iterator[str]:
    """Yield what a module of `package` imports; of `from a import b` both `a` and `a.b`, which may be a module too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = importlib.util.resolve_name("." * node.level + (node.module or ""), package or "")
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def _is_module(name: str) -> bool:
    try:
        return importlib.util.find_spec(name) is not None
    except ModuleNotFoundError:  # what holds it is no package
        return False


def _version(library: str) -> str:
    """Return the version of a library by its name or by that of its module."""
    named = distribution(library)
    return importlib.metadata.version(named) if named else "absent"


@cache
def _distributions() -> Mapping[str, list[str]]:
    return importlib.metadata.packages_distributions()


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(PACKAGE), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
