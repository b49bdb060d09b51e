"""What a demonstration tells: progress while it runs, and at the end which of its steps happened."""

import time
from dataclasses import dataclass, field


@dataclass(kw_only=True)
class Story:
    """Lines of progress with the time since the beginning, and steps that did or did not happen."""

    began: float = field(default_factory=time.monotonic)
    steps: list[tuple[str, bool, str]] = field(default_factory=list[tuple[str, bool, str]])

    def say(self, text: str) -> None:
        """Print one line of progress."""
        print(f"{time.monotonic() - self.began:6.1f} s  {text}", flush=True)

    def step(self, name: str, happened: bool, detail: str) -> None:
        """Note whether a step of the loop happened."""
        self.steps.append((name, happened, detail))

    def end(self) -> int:
        """Print the summary and return the exit code: 0 if every step happened, else 1."""
        print("\nWhat happened")
        for name, happened, detail in self.steps:
            print(f"  {'✓' if happened else '✗'} {name}: {detail}")
        missing = [name for name, happened, _ in self.steps if not happened]
        took = f"{time.monotonic() - self.began:.0f} s"
        print(
            f"\n{took}: the loop closed by itself."
            if not missing
            else f"\n{took}, but these did not happen: {'; '.join(missing)}"
        )
        return 1 if missing else 0
