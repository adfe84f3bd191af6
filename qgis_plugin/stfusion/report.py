# SPDX-License-Identifier: GPL-2.0-or-later
"""An assessment as lines of a log and as one HTML page that needs nothing else. Skill comes first."""

import html

from . import specification
from .chart import skill_chart
from .i18n import tr

_COLUMNS = (
    ("rmse", "RMSE"),
    ("mae", "MAE"),
    ("bias", "bias"),
    ("rrmse", "rRMSE"),
    ("r", "R"),
    ("r2", "R²"),
    ("ssim", "SSIM"),
    ("psnr", "PSNR"),
    ("uiqi", "UIQI"),
)
_STYLE = """
body { font: 15px/1.45 sans-serif; margin: 2em auto; max-width: 62em; padding: 0 1em; color: #222; }
h1 { font-size: 1.4em; } h2 { font-size: 1.1em; margin-top: 2em; } p.names { color: #666; overflow-wrap: anywhere; }
table { border-collapse: collapse; } th, td { padding: .3em .8em; text-align: right; border-bottom: 1px solid #ddd; }
th:first-child, td:first-child { text-align: left; } tr.overall td { font-weight: bold; border-top: 2px solid #888; }
td.won { color: #1b6e3a; } td.lost { color: #b3261e; }
"""


def number(value, signed=False):
    """Write a figure with four significant digits; a dash where it is undefined."""
    if value is None:
        return "–"
    return f"{value:{'+' if signed else ''}.4g}"


def baseline_label(baseline):
    """Return the label of the method that a baseline is."""
    return next((tr(m["label"]) for m in specification.load()["methods"] if m["id"] == baseline), baseline)


def tables(assessment):
    """Return (title, header, rows) of the tables, skill first."""
    out = []
    labels = [band["label"] for band in assessment["bands"]]
    if assessment["skill"]:
        header = [tr("Baseline"), tr("skill"), tr("RMSE of the baseline")] + [
            tr("skill, {band}").format(band=label) for label in labels
        ]
        rows = [
            [baseline_label(s["baseline"]), number(s["skill"], True), number(s["rmse"])]
            + [number(v, True) for v in s["skill_per_band"]]
            for s in assessment["skill"]
        ]
        out.append((tr("Skill against baselines"), header, rows))
    rows = [[band["label"]] + [number(band.get(key)) for key, _ in _COLUMNS] for band in assessment["bands"]]
    rows.append([tr("overall")] + [number(assessment["overall"].get(key)) for key, _ in _COLUMNS])
    out.append((tr("Accuracy"), [tr("Band")] + [title for _, title in _COLUMNS], rows))
    whole = [
        [tr("SAM (degrees)"), number(assessment["overall"].get("sam_deg"))],
        [tr("ERGAS"), number(assessment["overall"].get("ergas"))],
    ]
    whole += [
        [tr("Data range of SSIM and PSNR"), number(assessment.get("data_range"))],
        [tr("Scale"), number(assessment.get("scale"))],
    ]
    whole.append([tr("Samples"), str(assessment["overall"].get("n", "–"))])
    out.append((tr("Whole image"), [tr("Figure"), tr("value")], whole))
    return out


def text(assessment):
    """Return the tables as lines with aligned columns."""
    lines = []
    for title, header, rows in tables(assessment):
        lines += ["", title]
        widths = [max(len(row[column]) for row in [header] + rows) for column in range(len(header))]
        for row in [header] + rows:
            cells = [row[0].ljust(widths[0])] + [cell.rjust(width) for cell, width in zip(row[1:], widths[1:])]
            lines.append("  ".join(cells).rstrip())
    return lines


def page(assessment, names):
    """Return the HTML page; `names` says what was compared."""
    escape = html.escape
    out = [
        "<!DOCTYPE html>",
        "<html><head><meta charset='utf-8'>",
        f"<title>{escape(tr('Assessment of a prediction'))}</title>",
        f"<style>{_STYLE}</style></head><body>",
        f"<h1>{escape(tr('Assessment of a prediction'))}</h1>",
        f"<p class='names'>{escape(names)}</p>",
    ]
    for index, (title, header, rows) in enumerate(tables(assessment)):
        is_skill = index == 0 and bool(assessment["skill"])
        out.append(f"<h2>{escape(title)}</h2>")
        if is_skill:
            out.append(f"<p>{escape(verdict(assessment))}</p>")
            out.append(_chart(assessment))
        out.append("<table><tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in header) + "</tr>")
        for row in rows:
            overall = " class='overall'" if row[0] == tr("overall") else ""
            cells = "".join(f"<td{_mark(cell) if is_skill else ''}>{escape(cell)}</td>" for cell in row)
            out.append(f"<tr{overall}>{cells}</tr>")
        out.append("</table>")
    return "\n".join(out + ["</body></html>", ""])


def _chart(assessment):
    skills = assessment["skill"]
    groups = [(tr("overall"), [s["skill"] for s in skills])]
    groups += [(band["label"], [s["skill_per_band"][k] for s in skills]) for k, band in enumerate(assessment["bands"])]
    return skill_chart(groups, [baseline_label(s["baseline"]) for s in skills])


def verdict(assessment):
    """Say in one sentence whether the prediction beats the best baseline."""
    known = [s for s in assessment["skill"] if s["skill"] is not None]
    if not known:
        return tr("The baselines could not be compared.")
    best = min(known, key=lambda s: s["skill"])
    if best["skill"] > 0:
        return tr("The prediction beats every baseline; the best of them is {baseline}.").format(
            baseline=baseline_label(best["baseline"])
        )
    return tr("The prediction does not beat the baseline {baseline}.").format(baseline=baseline_label(best["baseline"]))


def _mark(cell):
    return {"+": " class='won'", "-": " class='lost'"}.get(cell[:1], "")
