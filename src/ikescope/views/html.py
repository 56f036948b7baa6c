"""The page: one self-contained file of a session, or the shell that a router's own server fills.

Everything a file needs stands in it and nothing is fetched; every text is escaped, and what the script shows enters the
page as text. The script itself is in assets/, named by its hash in the policy of the page.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64encode
from collections.abc import Iterable, Sequence
from functools import cache
from html import escape
from importlib.resources import files
from typing import Any

#: Kind (note or debug), title, lines.
Block = tuple[str, str, tuple[str, ...]]

SCRIPTS = ("base.js", "ladder.js", "inspect.js", "sas.js", "live.js")
BASE_POLICY = "default-src 'none'; base-uri 'none'; form-action 'none'"
LIVE_POLICY = f"{BASE_POLICY}; frame-ancestors 'none'; script-src 'self'; style-src 'self'; connect-src 'self'"
"""The Content-Security-Policy of a page that a router's server fills."""


@cache
def style() -> str:
    """The page's style sheet."""
    return _asset("page.css")


@cache
def script() -> str:
    """The page's script: the parts in one scope of their own."""
    return "\n".join(['(() => {\n"use strict";', *(_asset(name) for name in SCRIPTS), "})();"]) + "\n"


def _asset(name: str) -> str:
    return files("ikescope.views").joinpath("assets", name).read_text(encoding="utf-8")


def page(
    title: str,
    verdict: Iterable[str],
    sections: Sequence[tuple[str, list[Block]]],
    data: dict[str, Any],
    ladder: Sequence[str],
    headings: Sequence[str],
    rows: Iterable[Sequence[str]],
) -> str:
    """A whole session as one file. `data` is a model's snapshot and its details, `ladder` the same for no script."""
    policy = f"{BASE_POLICY}; script-src {_hashed(script())}; style-src {_hashed(style())}"
    head = [
        f'<meta http-equiv="Content-Security-Policy" content="{policy}">',
        f"<title>{escape(title)}</title>",
        f"<style>{style()}</style>",
    ]
    links = ['<a href="#ladder">The ladder</a>', '<a href="#sas">Security associations</a>']
    links += [f'<a href="#part-{number}">{escape(heading)}</a>' for number, (heading, _) in enumerate(sections, 1)]
    links.append('<a href="#table">What it took</a>')
    body = [*_header(title, verdict, live=False), "<nav>", *links, "</nav>", "</header>", "<main>"]
    body += [*_ladder(live=False), f"<noscript>{_pre(ladder)}</noscript>", "</section>", *_SAS]
    for number, (heading, blocks) in enumerate(sections, 1):
        body += [f'<section id="part-{number}" class="tour">', f"<h2>{escape(heading)}</h2>"]
        body += [_block(block) for block in blocks]
        body.append("</section>")
    body += ['<section id="table">', "<h2>What it took</h2>", _table(headings, rows), "</section>", "</main>"]
    body.append("<footer>Made by ikescope from the records of this session.</footer>")
    body.append(f'<script type="application/json" id="data">{_json(data)}</script>')
    body.append(f"<script>{script()}</script>")
    return _document(head, body, live=False)


def shell(title: str) -> str:
    """The page of a running router: `page.css`, `page.js` and `events` are beside it."""
    head = [
        f"<title>{escape(title)}</title>",
        '<link rel="stylesheet" href="page.css">',
    ]
    body = [*_header(title, (), live=True), "</header>", "<main>", *_ladder(live=True)]
    body += ["<noscript><p>This page needs JavaScript; `ikescope console` does not.</p></noscript>", "</section>"]
    body += [*_SAS, "</main>", '<script src="page.js"></script>']
    return _document(head, body, live=True)


def _document(head: Sequence[str], body: Sequence[str], *, live: bool) -> str:
    start = [
        "<!doctype html>",
        '<html lang="en">',
        "<head>",
        '<meta charset="utf-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1">',
        *head,
        "</head>",
        f'<body data-live="{"yes" if live else "no"}">',
        '<a class="skip" href="#ladder">Skip to the ladder</a>',
    ]
    return "\n".join([*start, *body, "</body>", "</html>"]) + "\n"


def _header(title: str, verdict: Iterable[str], *, live: bool) -> list[str]:
    told = [f"<p>{escape(line)}</p>" for line in verdict]
    return [
        "<header>",
        f"<h1>{escape(title)}</h1>",
        '<button type="button" id="theme" class="plain" aria-label="Switch between dark and light">Theme</button>',
        '<div class="verdict" id="verdict">',
        *told,
        "</div>",
        f'<p id="connection" role="status"{"" if live else " hidden"}>connecting</p>',
        '<p id="said" class="unseen" aria-live="polite"></p>',
        '<p id="alarm" class="unseen" role="alert"></p>',
    ]


def _ladder(*, live: bool) -> list[str]:
    follow = f'<label{"" if live else " hidden"}><input type="checkbox" id="follow" checked> follow</label>'
    return [
        '<section id="ladder" aria-labelledby="ladder-title">',
        '<h2 id="ladder-title">The ladder</h2>',
        '<div class="tools" role="search">',
        '<label>Search <input type="search" id="search" autocomplete="off" spellcheck="false"></label>',
        *(
            f'<select id="{name}" aria-label="{text}"></select>'
            for name, text in (("by-peer", "Router"), ("by-sa", "IKE SA"), ("by-exchange", "Exchange"))
        ),
        '<label><input type="checkbox" id="failures"> failures only</label>',
        follow,
        '<span id="count" role="status"></span>',
        "</div>",
        '<p class="keys"><kbd>↑</kbd> <kbd>↓</kbd> go through the messages, <kbd>Enter</kbd> opens one, '
        "<kbd>Esc</kbd> goes back to the ladder, <kbd>/</kbd> searches.</p>",
        '<div class="split">',
        '<div class="drawing"><div class="columns" id="columns" aria-hidden="true"></div>',
        '<ol class="rungs" id="rungs" aria-label="Messages and what changed, oldest first"></ol></div>',
        *_DETAIL,
        "</div>",
    ]


_DETAIL = (
    '<div class="detail" id="detail" role="region" aria-labelledby="detail-title">',
    '<h3 id="detail-title" tabindex="-1">A message, opened</h3>',
    '<p id="detail-hint">Choose a message: what it is for, every field with its octets, and the RFC section.</p>',
    '<div id="detail-body" hidden>',
    '<p class="facts" id="detail-facts"></p>',
    '<div class="notes" id="detail-notes" role="group" tabindex="0" aria-label="What it is for"></div>',
    '<h4 id="tree-title">Decoded</h4>',
    '<p id="no-tree" hidden>Its octets are not in this source.</p>',
    '<ul class="tree" id="tree" role="tree" aria-labelledby="tree-title"></ul>',
    "<h4>Octets</h4>",
    '<p class="range" id="octets-range" role="status"></p>',
    '<p id="octets-none" hidden>None in this source.</p>',
    '<div id="octets-part"><div class="dump" id="octets" role="group" tabindex="0" '
    'aria-label="Octets of the message"></div></div>',
    '<div id="opened-part"><h4>Inside the Encrypted payload, opened</h4><div class="dump" id="opened" role="group" '
    'tabindex="0" aria-label="Octets inside the Encrypted payload"></div></div>',
    "</div>",
    "</div>",
)

_SAS = (
    '<section id="sas" aria-labelledby="sas-title">',
    '<h2 id="sas-title">Security associations</h2>',
    '<div class="tools"><span id="family-count" role="status"></span><span id="sa-tools" hidden>'
    '<label>Find <input type="search" id="sa-search" autocomplete="off" spellcheck="false"></label></span></div>',
    '<div class="families" id="families"></div>',
    "</section>",
)


def _json(data: dict[str, Any]) -> str:
    """JSON that no HTML parser takes for an end of its element."""
    text = json.dumps(data, ensure_ascii=True, separators=(",", ":"))
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _hashed(text: str) -> str:
    return f"'sha256-{b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"


def _block(block: Block) -> str:
    kind, title, lines = block
    if kind == "note":
        told = "".join(f"<p>{escape(line)}</p>" for line in lines)
        return f"<aside><h3>{escape(title)}</h3>{told}</aside>"
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
