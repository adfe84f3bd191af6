# SPDX-License-Identifier: GPL-2.0-or-later
"""Bars of the skill against baselines, band by band, as an SVG picture for the middle of an HTML page.

    band    |  bars to the left of 0: the baseline is better  |  bars to the right: the prediction is better

The axis goes from -1 to 1; a bar that would leave it ends there, and its figure says how far it goes.
"""

import html

_COLOURS = ("#4477aa", "#ccbb44", "#66ccee", "#aa3377")
_LEFT, _HALF, _FIGURE = 170, 240, 60
_BAR, _GAP, _TOP = 13, 12, 30
_LONGEST_LABEL = 24


def skill_chart(groups, baselines):
    """Return the picture. `groups`: (label, [skill or None of each baseline]); `baselines`: their labels, in the same order."""
    zero, width = _LEFT + _FIGURE + _HALF, _LEFT + 2 * (_FIGURE + _HALF)
    step = _BAR * len(baselines) + _GAP
    height = _TOP + step * len(groups) + 20
    parts = [f"<svg viewBox='0 0 {width} {height}' width='{width}' height='{height}' role='img' font-size='12' fill='#222'>"]
    for k, baseline in enumerate(baselines):
        x = _LEFT + 150 * k
        parts.append(f"<rect x='{x}' y='4' width='12' height='12' fill='{_colour(k)}'/>{_text(x + 17, 14, baseline)}")
    bottom = height - 20
    for skill in (-1, -0.5, 0, 0.5, 1):
        x, colour = zero + _HALF * skill, "#888" if skill == 0 else "#ddd"
        parts.append(f"<line x1='{x:g}' y1='{_TOP}' x2='{x:g}' y2='{bottom}' stroke='{colour}'/>")
        parts.append(_text(x, bottom + 14, f"{skill:g}", "middle"))
    for row, (label, skills) in enumerate(groups):
        top = _TOP + row * step + _GAP / 2
        short = label if len(label) <= _LONGEST_LABEL else label[: _LONGEST_LABEL - 1] + "…"
        parts.append(_text(_LEFT, top + _BAR * len(baselines) / 2 + 4, short, "end"))
        for k, skill in enumerate(skills):
            if skill is not None:
                parts.append(_bar(zero, top + k * _BAR, skill, _colour(k)))
    return "".join(parts) + "</svg>"


def _bar(zero, y, skill, colour):
    length = _HALF * min(abs(skill), 1)
    x, end, anchor = (zero, zero + length + 4, "start") if skill >= 0 else (zero - length, zero - length - 4, "end")
    bar = f"<rect x='{x:.1f}' y='{y:g}' width='{length:.1f}' height='{_BAR - 2}' fill='{colour}'/>"
    return bar + _text(end, y + _BAR - 3, f"{skill:+.3g}", anchor)


def _text(x, y, content, anchor="start"):
    return f"<text x='{x:.1f}' y='{y:g}' text-anchor='{anchor}'>{html.escape(content)}</text>"


def _colour(k):
    return _COLOURS[k % len(_COLOURS)]
