"""Lines that a user has to keep for a product of their own: the declaration that `init` writes for the sample."""

import tempfile
from pathlib import Path

from benchmarks import million_script
from benchmarks.results import Result, result
from mlops_assets.samples import write_sample
from mlops_assets.scaffold import write_declaration

AIM = 20


def measure() -> list[Result]:
    """Return all lines of that file, beside the code of a script that only reads, validates, joins and trains."""
    with tempfile.TemporaryDirectory() as folder:
        sample = Path(folder, "electricity-like.csv")
        write_sample(sample)
        declaration = write_declaration(
            name="electricity",
            file=sample,
            label="price_up",
            time="interval_start",
            defs_dir=Path(folder, "defs"),
            project_root=Path(folder),
        )
        lines = len(declaration.read_text().splitlines())
    script = Path(million_script.__file__).read_text().splitlines()
    code = sum(bool(line.strip()) and not line.lstrip().startswith(("#", '"""')) for line in script)
    beside = "code of the script beside graph_vs_script_1m: no partitions to resume, registry, endpoint, drift or proof"
    return [result("lines_own_product", lines, "lines", beside=beside, beside_figure=code, aim=AIM)]
