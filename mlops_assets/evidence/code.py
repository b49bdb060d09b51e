"""Which code a step runs: its modules' source, that of what they import from the project, and library versions."""

import ast
import hashlib
import importlib.metadata
import importlib.util
import subprocess
from collections.abc import Iterator
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


@cache
def code_id(*modules: str) -> str:
    """Return the sha256 of `modules`, of all that they import from their own top-level packages, and of the libraries.

    Comments, docstrings and layout do not count. The platform (records, declaration, windows) does not either: what it
    puts into a step is in the recipe by value.

    Raises:
        ModuleNotFoundError: If a module does not exist.
    """
    seen: dict[str, str] = {}
    waiting = list(modules)
    own = {module.partition(".")[0] for module in modules} | {"mlops_assets"}
    while waiting:
        module = waiting.pop()
        if module in seen or module.startswith(PLATFORM):
            continue
        seen[module], imported = _read(module)
        waiting += [name for name in imported if name.partition(".")[0] in own and _is_module(name)]
    body = [f"{name} {seen[name]}" for name in sorted(seen)] + [f"{name}=={_version(name)}" for name in LIBRARIES]
    return hashlib.sha256("\n".join(body).encode()).hexdigest()


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
    try:
        return importlib.metadata.version(library)
    except importlib.metadata.PackageNotFoundError:
        return "absent"


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(
            ["git", "-C", str(PACKAGE), *arguments], capture_output=True, text=True, timeout=10, check=False
        )
    except (FileNotFoundError, subprocess.TimeoutExpired):
        return None
    return done.stdout.strip() if done.returncode == 0 else None
