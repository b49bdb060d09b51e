"""A ledger's file, read and verified without the product's code."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(kw_only=True)
class Book:
    """The lines of a ledger as they come; each has to follow from the one before."""

    path: Path
    offset: int = 0
    number: int = 0
    previous: str = "0" * 64

    def news(self) -> list[dict[str, object]]:
        """Return the bodies of the lines that are new, their hashes computed anew."""
        if not self.path.exists():
            return []
        with self.path.open("rb") as file:
            file.seek(self.offset)
            data = file.read()
        whole = data[: data.rfind(b"\n") + 1]
        self.offset += len(whole)
        return [self._followed(json.loads(line)) for line in whole.splitlines()]

    def whole(self) -> list[dict[str, object]]:
        """Return the bodies of all lines, from the first."""
        return Book(path=self.path).news()

    def _followed(self, line: dict[str, object]) -> dict[str, object]:
        body = {"body": line["body"], "number": self.number, "previous": self.previous}
        text = json.dumps(body, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
        found = {**body, "hash": hashlib.sha256(text.encode()).hexdigest()}
        assert line == found, f"line {self.number + 1} of the ledger does not follow"
        self.number, self.previous = self.number + 1, str(line["hash"])
        return json.loads(text)["body"]
