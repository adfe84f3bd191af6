# SPDX-License-Identifier: GPL-2.0-or-later
"""Help pages: the Markdown page of a method as the HTML that the help panel of a dialog can show."""

import html
import re

from .i18n import tr
from .parameters import help_text

PARAMETERS_MARK = "<!-- generated: parameters -->"


def method_help(method):
    """Return the help of a method: its page, the parameters taken from the specification."""
    page = re.sub(r"\A\s*# .*\n", "", method["readme"])
    if PARAMETERS_MARK in page:
        page = page.replace(PARAMETERS_MARK, "{{parameters}}")
    out = f"<p><b>{html.escape(tr(method['summary']))}.</b></p>\n" + markdown_to_html(page)
    return out.replace("<p>{{parameters}}</p>", parameter_list(method["parameters"]))


def parameter_list(specs):
    """Return the parameters with label and help as an HTML list."""
    if not specs:
        return f"<p>{html.escape(tr('This method has no parameters of its own.'))}</p>"
    items = (f"<li><b>{html.escape(tr(s['label']))}</b>: {html.escape(help_text(s))}</li>" for s in specs)
    return "<ul>\n" + "\n".join(items) + "\n</ul>"


def markdown_to_html(text):
    """Convert the Markdown the help pages use: headings, paragraphs, lists, tables, code, emphasis, links."""
    out, paragraph, items, table, code = [], [], [], [], None

    def flush():
        if paragraph:
            out.append(f"<p>{_inline(' '.join(paragraph))}</p>")
            paragraph.clear()
        if items:
            out.append("<ul>" + "".join(f"<li>{_inline(item)}</li>" for item in items) + "</ul>")
            items.clear()
        if table:
            out.append(_table(table))
            table.clear()

    for line in text.splitlines():
        stripped = line.strip()
        if code is not None:
            if stripped.startswith("```"):
                out.append(f"<pre>{html.escape(chr(10).join(code))}</pre>")
                code = None
            else:
                code.append(line)
            continue
        heading = re.match(r"(#+)\s+(.*)", stripped)
        bullet = re.match(r"[*+-]\s+(.*)", stripped)
        if stripped.startswith("```"):
            flush()
            code = []
        elif heading:
            flush()
            level = min(len(heading[1]) + 1, 4)
            out.append(f"<h{level}>{_inline(heading[2])}</h{level}>")
        elif stripped.startswith("|"):
            if not table:
                flush()
            table.append([cell.strip() for cell in stripped.strip("|").split("|")])
        elif bullet:
            if not items:
                flush()
            items.append(bullet[1])
        elif not stripped:
            flush()
        elif items and line[:1].isspace():
            items[-1] += " " + stripped
        else:
            if items or table:
                flush()
            paragraph.append(stripped)
    flush()
    return "\n".join(out)


def _inline(text):
    text = html.escape(text, quote=False)
    text = re.sub(r"`([^`]+)`", r"<code>\1</code>", text)
    text = re.sub(r"\*\*([^*]+)\*\*", r"<b>\1</b>", text)
    text = re.sub(r"(?<![\w*])\*([^*\s][^*]*)\*(?![\w*])", r"<i>\1</i>", text)
    text = re.sub(r"\[([^\]]+)\]\((https?://[^)\s]+)\)", r'<a href="\2">\1</a>', text)
    return re.sub(r"\bdoi:(10\.[^\s<]+[^\s<.,;])", r'<a href="https://doi.org/\1">doi:\1</a>', text)


def _table(rows):
    rule = len(rows) > 1 and all(re.fullmatch(r":?-+:?", cell) for cell in rows[1])
    body = rows[2:] if rule else rows
    out = ["<table border='1' cellspacing='0' cellpadding='3'>"]
    if rule:
        out.append("<tr>" + "".join(f"<th>{_inline(cell)}</th>" for cell in rows[0]) + "</tr>")
    out += ["<tr>" + "".join(f"<td>{_inline(cell)}</td>" for cell in row) + "</tr>" for row in body]
    return "\n".join(out + ["</table>"])
