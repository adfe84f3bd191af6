"""Checks the recipes of conda and Spack and the bill of materials, without building anything: `recipes.py ROOT NOTICES`.

Prints a line of TAP per check. conda's recipe is parsed and rendered by rattler-build, the bill is held against CycloneDX's own
schema; Spack is in no Python registry, so its file is only parsed, and what it says is compared with the project.
"""

import ast
import json
import re
import sys
from pathlib import Path

import rattler_build
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

ROOT, NOTICES = map(Path, sys.argv[1:])
VERSION = re.search(r"^library ([0-9.]+)$", (ROOT / "Version.txt").read_text(), re.M)[1]
failed = False


def holds(what, expected, found):
    """One check, which is that both are equal."""
    global failed
    if expected == found:
        print(f"ok - {what}")
    else:
        failed = True
        print(f"not ok - {what}\n# expected {expected}\n# found    {found}")


# conda
recipe = rattler_build.Stage0Recipe.from_file(ROOT / "packaging/conda/recipe.yaml")
config = rattler_build.RenderConfig(rattler_build.PlatformConfig(target_platform="linux-64"))
variants = rattler_build.VariantConfig.from_yaml("c_stdlib: [sysroot]\nc_stdlib_version: ['2.28']\n")
rendered = [variant.recipe.to_dict() for variant in recipe.render(variants, config)]
holds("conda's recipe renders to one package", 1, len(rendered))
holds("conda's recipe has the version", VERSION, str(rendered[0]["package"]["version"]))
text = json.dumps(rendered[0]["requirements"])
holds(
    "conda's recipe builds with Rust, C, C++ and GDAL",
    [True] * 4,
    [n in text for n in ("rust_linux-64", "gcc_linux-64", "gxx_linux-64", "libgdal-core")],
)
missing = [n for n in rendered[0]["about"]["license_file"] if not (ROOT / n).exists() and not (NOTICES / n).exists()]
holds("conda's licence files exist", [], missing)

# Spack
options = set(re.findall(r"(?:option|set)\((STFUSION_\w+)", "".join(p.read_text() for p in ROOT.rglob("CMakeLists.txt"))))
tree = ast.parse((ROOT / "packaging/spack/package.py").read_text())
calls = [n for n in ast.walk(tree) if isinstance(n, ast.Call)]


def arguments(name):
    """The first argument of every call of `name`."""
    return [c.args[0].value for c in calls if name in (getattr(c.func, "id", ""), getattr(c.func, "attr", ""))]


holds("Spack's class has the package's name", ["Stfusion"], [n.name for n in tree.body if isinstance(n, ast.ClassDef)])
holds("Spack's recipe has the version", [VERSION], arguments("version"))
holds("Spack sets options that CMake has", set(), set(arguments("define") + arguments("define_from_variant")) - options)
rust = re.search(r'^rust-version = "(.*)"$', (ROOT / "Cargo.toml").read_text(), re.M)[1]
holds("Spack asks for the right Rust", True, f"rust@{rust}:" in arguments("depends_on"))

# bill of materials
bill = (NOTICES / "stfusion.cdx.json").read_text()
holds("the bill of materials obeys the schema of CycloneDX 1.5", None, JsonStrictValidator(SchemaVersion.V1_5).validate_str(bill))
components = json.loads(bill)["components"]
names = {c["name"] for c in components}
holds(
    "it lists what is linked, not what tests or generates",
    [True, True, False, False],
    [n in names for n in ("rayon", "cxx", "proptest", "cbindgen")],
)
holds("it has a checksum for each crate", [], [c["name"] for c in components if not c.get("hashes")])
page = (NOTICES / "THIRD-PARTY-LICENSES").read_text()
heads = " ".join(re.findall(r"^={100}\n(.*)$", page, re.M))
holds("each crate has a licence text", [], [c["name"] for c in components if f"{c['name']} {c['version']}" not in heads])
sys.exit(failed)
