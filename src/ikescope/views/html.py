"""One HTML page out of sections, ladder and table: everything in it, nothing fetched, every text escaped."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape

#: Kind (note, debug, tree), title, lines.
Block = tuple[str, str, tuple[str, ...]]

STYLE = """
:root { color-scheme: light dark; --ink: #1c2430; --soft: #5a6675; --paper: #fbfbf9; --raised: #ffffff;
  --line: #d9dde3; --note: #eef4ff; --mark: #2457c5; --code: #f3f4f1; --up: #17754a; }
@media (prefers-color-scheme: dark) { :root { --ink: #dfe4ea; --soft: #97a3b1; --paper: #14181d; --raised: #1a1f26;
  --line: #2d353f; --note: #17243b; --mark: #86aefc; --code: #1b2027; --up: #6bd1a2; } }
* { box-sizing: border-box; }
body { margin: 0; background: var(--paper); color: var(--ink); font: 16px/1.55 system-ui, sans-serif; }
main, header { max-width: 66rem; margin: 0 auto; padding: 0 1.25rem; }
header { padding-top: 2.5rem; }
h1 { font-size: 1.9rem; line-height: 1.2; margin: 0 0 .6rem; }
h2 { font-size: 1.3rem; margin: 3rem 0 .8rem; padding-top: 1rem; border-top: 1px solid var(--line); }
.verdict { border-left: 4px solid var(--up); padding: .2rem 0 .2rem 1rem; margin: 1rem 0; }
.verdict p { margin: .15rem 0; } .verdict p:first-child { font-weight: 600; }
nav { margin: 1.2rem 0; } nav a { display: inline-block; margin: .15rem .9rem .15rem 0; }
a { color: var(--mark); }
pre { background: var(--code); border: 1px solid var(--line); border-radius: 6px; padding: .8rem 1rem; margin: .8rem 0;
  overflow-x: auto; font: 13px/1.45 ui-monospace, "DejaVu Sans Mono", Menlo, Consolas, monospace; }
aside { background: var(--note); border-left: 4px solid var(--mark); border-radius: 0 6px 6px 0;
  padding: .7rem 1rem; margin: .8rem 0; }
aside h3 { font-size: 1rem; margin: 0 0 .3rem; color: var(--mark); }
aside p { margin: .25rem 0; }
details { margin: .4rem 0; } summary { cursor: pointer; color: var(--soft); font-size: .92rem; }
.scroll { overflow-x: auto; } table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums; }
footer { color: var(--soft); font-size: .9rem; margin: 3rem auto; }
""".strip()

POLICY = "default-src 'none'; style-src 'unsafe-inline'"


def page(
    title: str,
    verdict: Iterable[str],
    sections: Sequence[tuple[str, list[Block]]],
    ladder: Sequence[str],
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
) -> str:
    """The whole page as text."""
    body = ["<header>", f"<h1>{escape(title)}</h1>", '<div class="verdict">']
    body += [f"<p>{escape(line)}</p>" for line in verdict]
    body += ["</div>", "<nav>"]
    body += [f'<a href="#part-{number}">{escape(heading)}</a>' for number, (heading, _) in enumerate(sections, 1)]
    body += ['<a href="#ladder">The ladder</a><a href="#table">What it took</a>', "</nav>", "</header>", "<main>"]
    for number, (heading, blocks) in enumerate(sections, 1):
        body += [f'<section id="part-{number}">', f"<h2>{escape(heading)}</h2>"]
        body += [_block(block) for block in blocks]
        body.append("</section>")
    body += ['<section id="ladder">', "<h2>The ladder</h2>", _pre(ladder), "</section>"]
    body += ['<section id="table">', "<h2>What it took</h2>", _table(headings, rows), "</section>"]
    body += ["<footer>Made by ikescope from the records of this session.</footer>", "</main>"]
    head = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">',
        f"<title>{escape(title)}</title>",
        f"<style>{STYLE}</style>",
        "</head>",
        "<body>",
    ]
    return "\n".join([*head, *body, "</body>", "</html>"]) + "\n"


def _block(block: Block) -> str:
    kind, title, lines = block
    if kind == "note":
        told = "".join(f"<p>{escape(line)}</p>" for line in lines)
        return f"<aside><h3>{escape(title)}</h3>{told}</aside>"
    if kind == "tree":
        return f"<details><summary>{escape(title)}</summary>{_pre(lines)}</details>"
    return _pre(lines)


def _pre(lines: Iterable[str]) -> str:
    return f"<pre>{escape(chr(10).join(lines))}</pre>"


def _table(headings: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    numeric = {index for index, name in enumerate(headings) if name in ("messages", "octets", "ms")}
    found = ['<div class="scroll"><table>', "<thead>", _cells("th", headings, numeric), "</thead>", "<tbody>"]
    found += [_cells("td", row, numeric) for row in rows]
    return "\n".join([*found, "</tbody></table></div>"])


def _cells(tag: str, cells: Sequence[str], numeric: set[int]) -> str:
    made = [
        f'<{tag} class="number">{escape(cell)}</{tag}>' if index in numeric else f"<{tag}>{escape(cell)}</{tag}>"
        for index, cell in enumerate(cells)
    ]
    return f"<tr>{''.join(made)}</tr>"
