"""A dotted path -> the function that it names."""

import importlib.util
import pkgutil
from collections.abc import Callable
from difflib import get_close_matches

# what a user's module may raise when it is imported; anything else is an error of ours
BROKEN_CODE = (
    *(SyntaxError, ImportError, NameError, AttributeError, TypeError, ValueError),
    *(LookupError, ArithmeticError, OSError, RuntimeError),
)


def function_named(path: str) -> Callable[..., object]:
    """Return the function at `path`, such as 'package.module.function'.

    Raises:
        LookupError: If there is no such module or function, or the module cannot be imported.
    """
    module_name, _, name = path.rpartition(".")
    if not module_name:
        raise LookupError(f"{path!r} names no function; right is 'package.module.function'")
    try:
        module = importlib.import_module(module_name)
    except BROKEN_CODE as error:
        missing = error.name if isinstance(error, ModuleNotFoundError) else None
        found = f"there is no module {missing!r}{_beside(missing)}" if missing else f"{type(error).__name__}: {error}"
        raise LookupError(f"no function {path!r}: {found}") from error
    function = getattr(module, name, None)
    if not callable(function):
        known = [known for known in vars(module) if callable(getattr(module, known)) and not known.startswith("_")]
        raise LookupError(f"no function {path!r}{did_you_mean(name, known)}; {module_name} has: {', '.join(known)}")
    return function


def _beside(module: str) -> str:
    """Return ' (did you mean ...?)' with the nearest module of the package that a missing one was looked for in."""
    package, _, name = module.rpartition(".")
    spec = importlib.util.find_spec(package) if package else None
    folders = spec.submodule_search_locations if spec else None
    return did_you_mean(name, [each.name for each in pkgutil.iter_modules(folders)]) if folders else ""


def did_you_mean(name: str, known: list[str]) -> str:
    """Return ' (did you mean ...?)' with the nearest known name, or nothing."""
    near = get_close_matches(name, known, n=1)
    return f" (did you mean {near[0]!r}?)" if near else ""
