"""What the command about who may do what at an endpoint does. Returns an exit code."""

import argparse
from datetime import UTC, datetime

from mlops_assets.settings import Settings


def arguments(parser: argparse.ArgumentParser) -> None:
    """Let `parser` read the command's arguments."""
    parser.add_argument("product")
    doing = parser.add_subparsers(dest="do", required=True, metavar="add|remove|list")
    add = doing.add_parser("add", help="make a key, and print it; it is stored nowhere")
    add.add_argument("name", help="who or what will use it")
    add.add_argument("--can", required=True, metavar="ACTS", help="read,predict,operate,approve, or some of them")
    add.add_argument("--until", metavar="DATE", help="a date, which counts to its end, or a time (default: for ever)")
    add.add_argument("--proxy", action="store_true", help="no key: the name as a proxy tells it; * is all it lets in")
    remove = doing.add_parser("remove", help="take a name out; running endpoints know within a second")
    remove.add_argument("name")
    listed = doing.add_parser("list", help="the names, their acts and times")
    listed.add_argument("--json", action="store_true", help="as JSON")


def access(options: argparse.Namespace, settings: Settings) -> int:
    """Add a name, take one out, or list them; a new key is printed once."""
    from mlops_assets.catalogue import read_catalogue
    from mlops_assets.serving.access.keys import add_identity, add_key, end_of, file_of, remove

    product = read_catalogue(settings.defs).product(options.product).name
    file, now = file_of(settings.access_folder, product), datetime.now(UTC)
    if options.do == "list":
        return _listed(options, settings, product, now)
    if options.do == "remove":
        remove(file, options.name)
        print(f"{product}: {options.name} is out; running endpoints know within a second")
        return 0
    until = end_of(options.until) if options.until else None
    if options.proxy:
        add_identity(file, options.name, options.can.split(","), until, now)
        print(f"{product}: {options.name}, as the proxy names it, may {options.can}")
        return 0
    print(add_key(file, options.name, options.can.split(","), until, now))
    return 0


def _listed(options: argparse.Namespace, settings: Settings, product: str, now: datetime) -> int:
    from mlops_assets.commands.reading import show
    from mlops_assets.serving.access.keys import file_of, names, read_entries

    entries = read_entries(file_of(settings.access_folder, product))
    found = names(entries or [], now)
    nobody = f"{product}: nobody is named; without names an endpoint answers at 127.0.0.1 only, and there anybody"
    if entries is not None:
        nobody = f"{product}: nobody is named any more, so nobody is let in"
    show(options, found, [str(each) for each in found] or [nobody])
    return 0
