"""The rules that keep the layout, read from the source. A rule yields line and text of what breaks it."""

import ast
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
PRODUCT, TESTS = "mlops_assets", "mlops_assets_tests"

# From the ground up: a module imports only what stands before it, or its own package.
LAYERS = (
    *(
        "chart",
        "located",
        "windows",
        "parts",
        "rules",
        "endpoint",
        "product",
        "settings",
        "evidence",
        "wiring",
        "jobs",
        "asking",
    ),
    *("intake", "annotations", "dataset", "features", "training", "registry", "serving", "detection", "monitoring"),
    *("retraining", "catalogue", "lineage", "costs", "alerting", "graph", "components", "definitions", "loop"),
    *("backtest", "scaffold", "samples", "testing", "defs", "operations", "commands", "cli"),
)
STAGES = LAYERS[LAYERS.index("intake") : LAYERS.index("alerting") + 1]
WIRING = (
    *("asking.py", "definitions.py", "graph.py", "jobs.py", "loop.py", "wiring.py"),
    *("components/", "defs/", "operations/"),
)
HEAVY = {
    *("apprise", "dagster_mlflow", "fairlearn", "lightgbm", "matplotlib", "mlflow", "optuna", "pandera", "sklearn"),
    *("torch", "whylogs"),
}
# at the edge: a model beside the champion may fail in any way, and nobody foresees everything that a request may do
ANY_ERROR = {
    *("serving/answering/app.py", "serving/answering/groups.py", "serving/routing/shadow.py"),
}
ENVIRONMENT = {"settings.py", "monitoring/whylog.py", "training/tracking.py"}  # the latter two only set switches
VAGUE = re.compile(r"(^|_)(utils?|helpers?|common|managers?)($|_)", re.IGNORECASE)
FILE_LINES, FUNCTION_LINES = 250, 45
FUNCTION = ast.FunctionDef | ast.AsyncFunctionDef


@dataclass(frozen=True, kw_only=True)
class Module:
    """A source file; `name` is its path below the package."""

    name: str
    text: str
    tree: ast.Module

    @property
    def layer(self) -> str:
        return self.name.split("/")[0].removesuffix(".py")

    @property
    def wires(self) -> bool:
        """Whether it may import dagster."""
        wired = ("/assets.py", "/jobs.py", "/sensors.py", "/resources.py")
        in_stage = self.layer in STAGES and self.name.endswith(wired)
        return in_stage or self.name.startswith(WIRING)


Violations = Iterator[tuple[int, str]]
Rule = Callable[[Module], Violations]


def parse(name: str, text: str) -> Module:
    return Module(name=name, text=text, tree=ast.parse(text))


def modules(package: str) -> list[Module]:
    folder = ROOT / package
    return [parse(path.relative_to(folder).as_posix(), path.read_text()) for path in sorted(folder.rglob("*.py"))]


def imports(tree: ast.AST) -> Iterator[tuple[int, str]]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.lineno, node.module


def imports_when_loaded(tree: ast.Module) -> Iterator[tuple[int, str]]:
    """Yield what importing the module imports: nothing inside functions or under TYPE_CHECKING."""
    waiting: list[ast.stmt] = list(tree.body)
    while waiting:
        node = waiting.pop()
        if isinstance(node, FUNCTION) or (isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test)):
            continue
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from imports(node)
        waiting += [child for child in ast.iter_child_nodes(node) if isinstance(child, ast.stmt)]


def functions(tree: ast.Module) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    return (node for node in ast.walk(tree) if isinstance(node, FUNCTION))


def public_functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from public_functions(node)
        elif isinstance(node, FUNCTION) and (not node.name.startswith("_") or node.name == "__init__"):
            yield node


def only_wiring_imports_dagster(module: Module) -> Violations:
    for line, name in imports(module.tree):
        if not module.wires and re.match(r"dagster(_|\.|$)", name):
            yield line, f"imports {name}; only assets.py, sensors.py, resources.py of a stage, {', '.join(WIRING)} do"


def plain_modules_load_no_wiring(module: Module) -> Violations:
    for line, name in imports_when_loaded(module.tree):
        own = name.removeprefix(f"{PRODUCT}.").replace(".", "/")
        if not module.wires and name.startswith(f"{PRODUCT}.") and parse(f"{own}.py", "").wires:
            yield line, f"loads {name}, and with it dagster; import it inside the function that needs it"


def heavy_libraries_wait(module: Module) -> Violations:
    for line, name in imports_when_loaded(module.tree):
        if name.split(".")[0] in HEAVY:
            yield line, f"loads {name} at import; import it inside the function that needs it"


def imports_follow_the_flow(module: Module) -> Violations:
    if module.name == "__init__.py":
        return
    for line, name in imports(module.tree):
        if not name.startswith(f"{PRODUCT}."):
            continue
        used = name.split(".")[1]
        for layer in (module.layer, used):
            if layer not in LAYERS:
                yield line, f"{layer} has no place in LAYERS; put it where it belongs in the flow"
                return
        if LAYERS.index(used) > LAYERS.index(module.layer):
            yield line, f"imports {name}, but {module.layer} comes before {used}"


def package_files_are_empty(module: Module) -> Violations:
    if module.name == "__init__.py":
        for node in module.tree.body[1:]:
            if not (isinstance(node, FUNCTION) and node.name == "__getattr__"):
                yield node.lineno, "the root __init__.py holds a docstring and a lazy __getattr__ only"
    elif module.name.endswith("/__init__.py") and module.text.strip():
        yield 1, "__init__.py is not empty"


def only_settings_read_the_environment(module: Module) -> Violations:
    for node in ast.walk(module.tree):
        named = isinstance(node, ast.Attribute) and ast.unparse(node) in {"os.environ", "os.environb", "os.getenv"}
        taken = isinstance(node, ast.ImportFrom) and node.module == "os" and "env" in ast.unparse(node)
        if (named or taken) and module.name not in ENVIRONMENT:
            yield node.lineno, f"{ast.unparse(node)}; only settings.py reads the environment"


def files_and_functions_are_short(module: Module) -> Violations:
    lines = len(module.text.splitlines())
    if lines > FILE_LINES:
        yield 1, f"{lines} lines; at most {FILE_LINES}"
    for node in functions(module.tree):
        length = (node.end_lineno or node.lineno) - node.lineno + 1
        if length > FUNCTION_LINES:
            yield node.lineno, f"{node.name} has {length} lines; at most {FUNCTION_LINES}"


def files_say_what_they_are(module: Module) -> Violations:
    if module.text.strip() and not ast.get_docstring(module.tree):
        yield 1, "no module docstring"


def names_say_what_they_are(module: Module) -> Violations:
    for part in module.name.removesuffix(".py").split("/"):
        if VAGUE.search(part):
            yield 1, f"the name {part!r} says nothing"
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ClassDef) and re.search(r"(Utils?|Helpers?|Common|Manager)$", node.name):
            yield node.lineno, f"the name {node.name!r} says nothing"


def signatures_are_typed(module: Module) -> Violations:
    for node in public_functions(module.tree):
        if node.args.kwarg:
            yield node.lineno, f"{node.name} takes **{node.args.kwarg.arg}; name what it takes"
        arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
        for kind in [node.returns, *(argument.annotation for argument in arguments)]:
            if kind and re.search(r"(dict|Mapping)\[str, Any\]", ast.unparse(kind)):
                yield node.lineno, f"{node.name} passes {ast.unparse(kind)}; right is a frozen dataclass or struct"


def errors_are_named(module: Module) -> Violations:
    for node in ast.walk(module.tree):
        if isinstance(node, ast.ExceptHandler) and ast.unparse(node.body[-1]) != "raise":
            caught = ast.unparse(node.type) if node.type else "everything"
            if re.search(r"\b(everything|Exception|BaseException)\b", caught) and module.name not in ANY_ERROR:
                yield node.lineno, f"catches {caught}; name the error"


def nothing_happens_at_import(module: Module) -> Violations:
    for node in module.tree.body:
        docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
        if isinstance(node, ast.Expr | ast.For | ast.While | ast.With) and not docstring:
            yield node.lineno, f"runs at import: {ast.unparse(node).splitlines()[0]}"


def product_needs_nothing_beside_it(module: Module) -> Violations:
    for number, line in enumerate(module.text.splitlines(), 1):
        if re.search(r"\bshared/|\bfrom shared\b|\bimport shared\b", line):
            yield number, "names shared/, which is no part of the project"


RULES: tuple[Rule, ...] = (
    *(only_wiring_imports_dagster, plain_modules_load_no_wiring, heavy_libraries_wait, imports_follow_the_flow),
    *(package_files_are_empty, only_settings_read_the_environment, files_and_functions_are_short),
    *(files_say_what_they_are, names_say_what_they_are, signatures_are_typed, errors_are_named),
    *(nothing_happens_at_import, product_needs_nothing_beside_it),
)
TEST_RULES: tuple[Rule, ...] = (names_say_what_they_are,)
