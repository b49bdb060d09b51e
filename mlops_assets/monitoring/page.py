"""What is known of a window -> one HTML page that needs nothing beside it: no network, no script; dark on light."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from html import escape

from mlops_assets.detection.verdict import Verdict

STYLE = """\
:root { color-scheme: light; }
body { font: 15px/1.45 system-ui, -apple-system, "Segoe UI", sans-serif; color: #1f2328; background: #fff;
  max-width: 980px; margin: 0 auto; padding: 24px 20px 48px; }
h1 { font-size: 20px; margin: 0; } h2 { font-size: 16px; margin: 32px 0 8px; border-bottom: 1px solid #d1d9e0; }
h3 { font-size: 14px; margin: 18px 0 4px; } p { margin: 6px 0; } .faint, caption { color: #59636e; font-size: 13px; }
.verdict { margin: 14px 0; padding: 12px 16px; border: 1px solid #8c959f; border-left: 10px solid #2f6fa8; }
.verdict.drift { border-left: 10px double #b83a06; } .verdict.unknown { border-left: 10px dashed #8c959f; }
.verdict b { font-size: 22px; letter-spacing: .02em; }
.facts { display: flex; flex-wrap: wrap; gap: 4px 28px; margin: 0; }
.facts div { margin: 2px 0; } dt { color: #59636e; font-size: 13px; } dd { margin: 0; }
table { border-collapse: collapse; width: 100%; font-size: 13.5px; } caption { text-align: left; padding: 4px 0; }
th, td { text-align: left; padding: 4px 8px; border-bottom: 1px solid #d1d9e0; vertical-align: middle; }
th { background: #f3f6f9; font-weight: 600; } 
td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
th.u { font-weight: 400; } .u { color: #59636e; }
tr.moved td { background: #fff4ec; } tr.moved td:first-child { font-weight: 700; } .scroll { overflow-x: auto; }
code { font: 13px ui-monospace, Menlo, Consolas, monospace; overflow-wrap: anywhere; }
svg { max-width: 100%; height: auto; }
td svg { display: block; min-width: 140px; }
@media print { body { padding: 0; font-size: 12px; max-width: none; } h2, h3 { break-after: avoid; }
  tr, svg, .verdict { break-inside: avoid; } tr.moved td, th { print-color-adjust: exact; }
  .scroll { overflow: visible; } }
"""
WORDS = {"ok": "OK", "drift": "DRIFT", "cannot tell": "CANNOT TELL"}
CLASSES = {"ok": "", "drift": " drift", "cannot tell": " unknown"}


@dataclass(frozen=True, kw_only=True)
class Row:
    """A column in the table; what does not apply is empty."""

    column: str
    words: str
    moved: bool
    effect: str = ""
    p_value: str = ""
    smallest_shift: str = ""
    psi: str = ""
    ks: str = ""
    kl: str = ""
    spark: str = ""


@dataclass(frozen=True, kw_only=True)
class Page:
    """All that a page says. Pictures are SVG; `tables` are Markdown of paragraphs and tables, by title."""

    product: str
    segment: str
    window: str
    verdict: Verdict
    facts: Mapping[str, str]
    origin: str
    ancestors: Mapping[str, str]
    columns: Sequence[Row]
    uncalibrated: str
    pictures: Mapping[str, str]
    timeline: str
    performance: str = ""
    quality: str = ""
    tables: Mapping[str, str] = field(default_factory=dict[str, str])
    records: Mapping[str, str]
    commands: Sequence[str]
    ui: str


def html(page: Page) -> str:
    """Return the page as HTML."""
    title = escape(f"{page.product}, {page.segment}, {page.window}")
    parts = [_verdict(page), _origin(page), _columns(page), _pictures(page), _quality(page), _trace(page)]
    head = f'<meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>{title}</title>'
    top = f'<h1>{title}</h1><p class="faint">What serving saw in this window, judged against training.</p>'
    body = "\n".join(part for part in [top, *parts] if part)
    whole = f"<head>{head}<style>\n{STYLE}</style></head>\n<body>{body}</body>"
    return f'<!doctype html>\n<html lang="en">{whole}</html>\n'


def _verdict(page: Page) -> str:
    state = page.verdict.state
    facts = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(told)}</dd></div>" for name, told in page.facts.items())
    said = f"<b>{WORDS[state]}</b><p>{escape(page.verdict.words)}</p>"
    return f'<div class="verdict{CLASSES[state]}">{said}</div><dl class="facts">{facts}</dl>'


def _origin(page: Page) -> str:
    if not page.origin:
        return ""
    tested = _table(("where", "what the same test says there"), page.ancestors.items()) if page.ancestors else ""
    return f"<h2>Where it came from</h2><p>{escape(page.origin)}</p>{tested}"


def _columns(page: Page) -> str:
    """Return the table of columns: what is judged, and apart from it what is only shown."""
    if not page.columns:
        return ""
    groups = f'<tr><th colspan="5">judged</th><th class="u" colspan="3">{escape(page.uncalibrated)}</th><th></th></tr>'
    names = (*("column", "verdict", "effect", "p", "smallest shift seen"), *("PSI", "KS", "KL"), "reference and live")
    heads = "".join(f"<th{_right(place)}>{name}</th>" for place, name in enumerate(names))
    rows = "".join(_row(row) for row in page.columns)
    caption = (
        "Effect and p are given of columns that moved. Smallest shift seen: by how many standard deviations a column's "
        "mean must move for this window to show it in 4 of 5 cases. Box: range of the reference windows; dot: live."
    )
    table = f"<table><caption>{caption}</caption><thead>{groups}<tr>{heads}</tr></thead><tbody>{rows}</tbody></table>"
    return f'<h2>Columns</h2><div class="scroll">{table}</div>'


def _row(row: Row) -> str:
    told = (row.column, row.words, row.effect, row.p_value, row.smallest_shift, row.psi, row.ks, row.kl)
    cells = "".join(f"<td{_right(place)}>{escape(cell)}</td>" for place, cell in enumerate(told))
    marked = ' class="moved"' if row.moved else ""
    return f"<tr{marked}>{cells}<td>{row.spark}</td></tr>"


def _right(place: int) -> str:
    return ' class="n u"' if 5 <= place <= 7 else ' class="n"' if 2 <= place <= 4 else ""


def _pictures(page: Page) -> str:
    drawn = "".join(f"<p>{svg}</p>" for svg in page.pictures.values())
    return f"<h2>Reference and live</h2>{drawn}<h2>Verdicts over time</h2><p>{page.timeline}</p>"


def _quality(page: Page) -> str:
    if not page.performance:
        return ""
    tables = "".join(f"<h3>{escape(name)}</h3>{from_markdown(table)}" for name, table in page.tables.items())
    return f"<h2>Quality on late labels</h2><p>{escape(page.performance)}</p><p>{page.quality}</p>{tables}"


def _trace(page: Page) -> str:
    records = _table(("record", "id"), page.records.items(), code=True)
    asked = "".join(f"<li><code>{escape(command)}</code></li>" for command in page.commands)
    link = f'<a href="{escape(page.ui)}">{escape(page.ui)}</a>'
    return (
        "<h2>How to trace it</h2><p>Each record names its inputs by hash, so its id stands for all that led to it. "
        f"These commands prove it, follow it back to rows and labels, and make this page again:</p><ul>{asked}</ul>"
        f'{records}<p class="faint">In the Dagster UI: {link}</p>'
    )


def from_markdown(text: str) -> str:
    """Return paragraphs and tables of Markdown as HTML; nothing else of it is known."""
    blocks = [block.splitlines() for block in text.split("\n\n") if block.strip()]
    return "".join(_from_table(block) if block[0].startswith("|") else _paragraph(block) for block in blocks)


def _from_table(lines: Sequence[str]) -> str:
    head, _, *rows = ([cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]] for line in lines)
    return _table(head, rows)


def _paragraph(lines: Sequence[str]) -> str:
    return f"<p>{escape(' '.join(lines))}</p>"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]], *, code: bool = False) -> str:
    def cell(place: int, words: str) -> str:
        shown = escape(words.replace("\\|", "|"))
        return f"<td><code>{shown}</code></td>" if code and place else f"<td>{shown}</td>"

    top = "".join(f"<th>{escape(head)}</th>" for head in heads)
    body = "".join(f"<tr>{''.join(cell(place, words) for place, words in enumerate(row))}</tr>" for row in rows)
    return f'<div class="scroll"><table><thead><tr>{top}</tr></thead><tbody>{body}</tbody></table></div>'
