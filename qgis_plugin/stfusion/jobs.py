# SPDX-License-Identifier: GPL-2.0-or-later
"""From the values of a dialog to a job of the library, and to the command line that does the same. No QGIS here."""

import csv
import json
import os
import shlex

from .dates import iso_date

SCENE_COLUMNS = ("role", "date", "path", "mask", "sensor")
PAIR_KEYS = ("fine", "coarse", "date", "fine_mask", "coarse_mask", "classes", "objects", "pan")


class BadJob(Exception):
    """Values that make no job; the text is what people read."""


def fuse_job(method, values):
    """Return the job, a dict as in a job file, that `values` ask for.

    `values` holds, by Processing name, plain Python values; names left out or None take their default. Images are names
    that GDAL can open, dates `YYYY-MM-DD`, `PARAMETERS` and `OPTIONS` dicts by id of the specification.
    """
    pairs = [_pair(values, "")]
    if values.get("INPUT_2") or values.get("COARSE_2"):
        pairs.append(_pair(values, "_2"))
    if values.get("SCENE_TABLE"):
        pairs += scene_pairs(values["SCENE_TABLE"])
    target = _without_none({"date": values.get("DATE_TARGET"), "coarse": values.get("COARSE_TARGET")})
    mask = _mask(values, "COARSE_MASK_TARGET", "COARSE_MASK_PRESET")
    if mask:
        target["coarse_mask"] = mask
    options = dict(values.get("OPTIONS") or {})
    grid = _grid(values, options)
    output = {"path": values["OUTPUT"], "overwrite": True}
    if "format" in options:
        output["format"] = options.pop("format")
    if values.get("SUPPORT"):
        output["support"] = values["SUPPORT"]
    creation = [option.strip() for option in (values.get("CREATION_OPTIONS") or "").split("|") if option.strip()]
    if creation:
        output["creation_options"] = creation
    job = {"stfusion": 1, "method": method["id"], "pairs": pairs, "target": target, "output": output}
    if values.get("PARAMETERS"):
        job["parameters"] = dict(values["PARAMETERS"])
    if grid:
        job["grid"] = grid
    job.update(options)
    return job


def _grid(values, options):
    """Return the job's grid options, taken out of `options` and from the bands."""
    grid = {key: options.pop(key) for key in ("coarse_resampling", "ignore_units") if key in options}
    bands = _band_map(values.get("FINE_BANDS") or [], values.get("COARSE_BANDS") or [])
    if bands:
        grid["bands"] = bands
    return grid


def compare_job(values):
    """Return the job whose pairs are compared; `values` as for `fuse_job`, with lists for `INPUT`, `COARSE` and `DATES`."""
    fine, coarse, dates = (values.get(name) or [] for name in ("INPUT", "COARSE", "DATES"))
    if len(fine) != len(coarse):
        raise BadJob(
            "Fine images and coarse images must be as many, in the same order, one of each for a day; "
            f"got {len(fine)} and {len(coarse)}"
        )
    if len(dates) not in (0, len(fine)):
        raise BadJob(
            f"Dates must be as many as fine images, in the same order, or be left empty; got {len(dates)} for {len(fine)} images"
        )
    days = dates or [None] * len(fine)
    pairs = [_without_none({"date": day, "fine": f, "coarse": c}) for day, f, c in zip(days, fine, coarse)]
    if values.get("SCENE_TABLE"):
        pairs += scene_pairs(values["SCENE_TABLE"])
    if len(pairs) < 2:
        raise BadJob(
            "Give the fine and the coarse images of at least two days: each day in turn is held back as the truth and predicted "
            f"from the others; got {len(pairs)}"
        )
    options = dict(values.get("OPTIONS") or {})
    grid = _grid(values, options)
    job = {"stfusion": 1, "method": "coarse_increment", "pairs": pairs}
    if grid:
        job["grid"] = grid
    job.update(options)
    return job


def compare_options(values):
    """Return what to compare and where to write it."""
    options = {"methods": list(values.get("METHODS") or []), "overwrite": True}
    options.update(_without_none({"report": values.get("OUTPUT"), "csv": values.get("CSV")}))
    return options


def compare_command(job, options):
    """Return the lines that make the same comparison in a terminal; see `fuse_command`."""
    words = ["stfusion", "compare"]
    pairs = [_keys(pair, PAIR_KEYS) for pair in job["pairs"]]
    lines = []
    if None in pairs:
        words.append("job.stf")
        lines = ["with job.stf:", *_job_lines(job)]
    else:
        words += [word for pair in pairs for word in ("--pair", pair)] + _grid_words(job) + _running_words(job)
    for method in options["methods"]:
        words += ["--method", method]
    for key in ("report", "csv"):
        if key in options:
            words += [f"--{key}", options[key]]
    return [shlex.join([*words, "--overwrite"]), *lines]


def _pair(values, suffix):
    number = 2 if suffix else 1
    fine, coarse = values.get("INPUT" + suffix), values.get("COARSE" + suffix)
    if not fine or not coarse:
        missing = "coarse" if fine else "fine"
        raise BadJob(f"Pair {number} has no {missing} image; give both images of the pair, or neither")
    names = {"classes": "CLASS_MAP", "objects": "OBJECT_MAP", "pan": "PAN"}
    extra = {key: values.get(name + suffix) for key, name in names.items()}
    pair = _without_none({"date": values.get("DATE" + suffix), "fine": fine, "coarse": coarse, **extra})
    for key, name in (("fine_mask", "FINE_MASK"), ("coarse_mask", "COARSE_MASK")):
        mask = _mask(values, name + suffix, name + "_PRESET")
        if mask:
            pair[key] = mask
    return pair


def _mask(values, name, preset_name):
    path = values.get(name)
    if not path:
        return None
    return mask_source(path, values.get(preset_name), values.get("MASK_DILATION") or 0)


def mask_source(path, preset, dilation=0):
    """Return a mask of the job: the name alone where that says everything."""
    mask = {"path": path}
    if preset and preset != "nonzero":
        mask["preset"] = preset
    if dilation:
        mask["dilate_px"] = dilation
    return mask if len(mask) > 1 else path


def _band_map(fine, coarse):
    if not fine and not coarse:
        return []
    if fine and coarse and len(fine) != len(coarse):
        raise BadJob(
            "Bands of the fine image and bands of the coarse images must be as many, in the same order; "
            f"got {len(fine)} and {len(coarse)}"
        )
    return [[f, c] for f, c in zip(fine or coarse, coarse or fine)]


def scene_pairs(path):
    """Return the pairs of a scene table: CSV with the columns `role,date,path,mask,sensor`, one row for each image.

    `role` is `fine` or `coarse`; a fine and a coarse image of one date make a pair. `mask` may be empty, `sensor` names the
    mask's preset. Relative names are relative to the table. Raises BadJob naming table, line, value and remedy.
    """
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            sample = file.readline()
            file.seek(0)
            rows = list(csv.DictReader(file, delimiter=";" if sample.count(";") > sample.count(",") else ","))
            columns = [c.strip().lower() for c in (sample.replace(";", ",").split(","))]
    except (OSError, UnicodeDecodeError) as error:
        raise BadJob(f"The scene table {path} cannot be read: {error}") from error
    lacking = [name for name in SCENE_COLUMNS[:3] if name not in columns]
    if lacking:
        raise BadJob(
            f"The scene table {path} has no column {', '.join(lacking)}; its first line must be {','.join(SCENE_COLUMNS)}"
        )
    found = {}
    for line, cells in enumerate(rows, start=2):
        row = {(key or "").strip().lower(): value.strip() for key, value in cells.items() if isinstance(value, str)}
        place = f"The scene table {path}, line {line}"
        role = row.get("role", "").lower()
        if role not in ("fine", "coarse"):
            raise BadJob(f"{place}: role must be fine or coarse; got {role!r}")
        try:
            day = iso_date(row.get("date"))
        except ValueError as error:
            raise BadJob(f"{place}: {error}") from error
        if day is None or not row.get("path"):
            raise BadJob(f"{place}: {'date' if day is None else 'path'} is empty; every image needs one")
        if role in found.setdefault(day, {}):
            raise BadJob(f"{place}: a second {role} image of {day}; give one of each role for a date")
        image = {role: _beside(path, row["path"])}
        if row.get("mask"):
            image[role + "_mask"] = mask_source(_beside(path, row["mask"]), row.get("sensor"))
        found[day][role] = image
    pairs = []
    for day in sorted(found):
        images = found[day]
        for role in ("fine", "coarse"):
            if role not in images:
                raise BadJob(
                    f"The scene table {path} has no {role} image of {day}; add it, or remove the other image of that date"
                )
        pairs.append({"date": day, **images["fine"], **images["coarse"]})
    return pairs


def _beside(table, name):
    if name.startswith(("/", "<", "{")) or ":" in name:
        return name
    return os.path.join(os.path.dirname(os.path.abspath(table)), name)


def _without_none(items):
    return {key: value for key, value in items.items() if value is not None and value != ""}


def fuse_command(job):
    """Return the lines that do the same in a terminal: one command, or a job file and a command where no flag says it."""
    words = ["stfusion", "fuse", "--method", job["method"]]
    images = [_keys(pair, PAIR_KEYS) for pair in job["pairs"]]
    images.append(_keys(job["target"], ("coarse", "date", "coarse_mask")))
    if None in images:
        return ["stfusion fuse job.stf", "with job.stf:", *_job_lines(job)]
    for pair in images[:-1]:
        words += ["--pair", pair]
    words += ["--target", images[-1]]
    for key, value in job.get("parameters", {}).items():
        words += ["--param", f"{key}={_text(value)}"]
    output = job["output"]
    words += _grid_words(job)
    if "format" in output:
        words += ["--of", output["format"]]
    for option in output.get("creation_options", []):
        words += ["--co", option]
    if "support" in output:
        words += ["--support", output["support"]]
    words += _running_words(job)
    return [shlex.join(words + ["--overwrite", "-o", output["path"]])]


def _job_lines(job):
    return json.dumps(job, indent=2, ensure_ascii=False).splitlines()


def _grid_words(job):
    grid, words = job.get("grid", {}), []
    if "coarse_resampling" in grid:
        words += ["--resampling", grid["coarse_resampling"]]
    if "bands" in grid:
        words += ["--bands", ",".join(f"{fine}={coarse}" for fine, coarse in grid["bands"])]
    if grid.get("ignore_units"):
        words.append("--ignore-units")
    return words


def _running_words(job):
    return [word for key in ("threads", "memory", "device") if key in job for word in (f"--{key}", str(job[key]))]


def _keys(images, keys):
    """Return images as the command line's `key=value,...`, or None where that cannot say them."""
    words = []
    for key in keys:
        value = images.get(key)
        if value is None:
            continue
        if isinstance(value, dict):
            if set(value) - {"path", "preset"}:
                return None
            words += [f"{key}={value['path']}", f"{key}_preset={value['preset']}"]
        else:
            words.append(f"{key}={value}")
    return None if any("," in word for word in words) else ",".join(words)


def _text(value):
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return " ".join(str(v) for v in value)
    return str(value)


def assess_request(values):
    """Return the library's request for an assessment; `values` as for `fuse_job`."""
    request = {"prediction": values["INPUT"], "truth": values["TRUTH"]}
    truth_mask = _mask(values, "TRUTH_MASK", "TRUTH_MASK_PRESET")
    if truth_mask:
        request["truth_mask"] = truth_mask
    parts = {"COARSE": "coarse image", "FINE_MASK": "mask"}
    pairs = [s for s in ("", "_2") if any(values.get(name + s) for name in ("FINE", *parts))]
    for suffix in pairs:
        if not values.get("FINE" + suffix):
            part = next(label for name, label in parts.items() if values.get(name + suffix))
            raise BadJob(f"Pair {2 if suffix else 1} has a {part} but no fine image; the skill needs the fine image")
    if pairs:
        request["fine"] = [_dated(values, suffix) for suffix in pairs]
    coarse = [values["COARSE" + s] for s in pairs if values.get("COARSE" + s)]
    if coarse:
        if len(coarse) != len(pairs):
            raise BadJob("One of the two pairs has no coarse image; give the coarse image of each pair, or of none")
        if not values.get("COARSE_TARGET"):
            raise BadJob(
                "The coarse image of the target date is missing; with it the prediction is compared with the coarse increment"
            )
        request["coarse"] = coarse
    if values.get("COARSE_TARGET"):
        request["target"] = _without_none({"date": values.get("DATE_TARGET"), "image": values["COARSE_TARGET"]})
    if values.get("DATA_RANGE") is not None:
        request["data_range"] = values["DATA_RANGE"]
    return request


def _dated(values, suffix):
    mask = _mask(values, "FINE_MASK" + suffix, "FINE_MASK_PRESET")
    return _without_none({"date": values.get("DATE" + suffix), "image": values["FINE" + suffix], "mask": mask})


def assess_command(request):
    """Return the command line that makes the same assessment; None when only some of the fine images have a mask."""
    words = ["stfusion", "assess", request["prediction"], request["truth"]]
    fine = request.get("fine", [])
    masks = [image["mask"] for image in fine if "mask" in image]
    if masks and len(masks) != len(fine):
        return None
    words += _mask_words("--truth-mask", [request["truth_mask"]] if "truth_mask" in request else [])
    for image in fine:
        words += ["--fine", image["image"]]
    words += _mask_words("--fine-mask", masks)
    for image in request.get("coarse", []):
        words += ["--coarse-pair", image]
    if all("date" in image for image in fine):
        for image in fine:
            words += ["--pair-date", image["date"]]
    target = request.get("target", {})
    if target:
        words += ["--coarse-target", target["image"]]
    if "date" in target:
        words += ["--target-date", target["date"]]
    if "data_range" in request:
        words += ["--data-range", str(request["data_range"])]
    return shlex.join(words)


def _mask_words(flag, masks):
    words, preset = [], None
    for mask in masks:
        path, preset = (mask["path"], mask.get("preset")) if isinstance(mask, dict) else (mask, None)
        words += [flag, path]
    return words + ([flag + "-preset", preset] if preset else [])


def target_date(output):
    """Return the day that was predicted, from the record that the library writes beside `output`; None if it is not known."""
    try:
        with open(output + ".stf", encoding="utf-8") as file:
            return json.load(file)["target"].get("date")
    except (OSError, ValueError, KeyError):
        return None
