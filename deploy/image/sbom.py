#!/usr/bin/env python3
"""The SBOM of Headwind in the format CycloneDX 1.6: every crate that is linked, and the packages of the base layer.

`sbom.py VERSION` prints it. The same Cargo.lock gives the same bytes: it has no time and no serial number.
"""

import json
import pathlib
import platform
import subprocess
import sys


def document(root, version, packages):
    """Returns the SBOM. `packages` are lines of name and version of Debian packages."""
    target = f"{platform.machine()}-unknown-linux-gnu"
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", target]
    metadata = json.loads(subprocess.run(command, cwd=root, check=True, capture_output=True).stdout)
    crates = {package["id"]: package for package in metadata["packages"]}
    nodes = {node["id"]: node for node in metadata["resolve"]["nodes"]}
    top = next(package["id"] for package in metadata["packages"] if package["name"] == "headwind" and package["source"] is None)

    def linked(node):
        return [edge["pkg"] for edge in node["deps"] if any(kind["kind"] is None for kind in edge["dep_kinds"])]

    seen, open_ = set(), [top]
    while open_:
        one = open_.pop()
        if one not in seen:
            seen.add(one)
            open_.extend(linked(nodes[one]))

    def purl(package):
        return f"pkg:cargo/{package['name']}@{package['version']}"

    def component(package):
        fields = {
            "type": "library",
            "bom-ref": purl(package),
            "name": package["name"],
            "version": package["version"],
            "purl": purl(package),
        }
        if package["license"]:
            fields["licenses"] = [{"expression": package["license"].replace("/", " OR ")}]
        return fields

    order = sorted(seen - {top}, key=lambda one: (crates[one]["name"], crates[one]["version"]))
    components = [component(crates[one]) for one in order]
    for package in packages:
        name, number = package.split()
        reference = f"pkg:deb/debian/{name}@{number}"
        components.append({"type": "library", "bom-ref": reference, "name": name, "version": number, "purl": reference})
    return (json.dumps({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {"component": {"type": "application", "bom-ref": "headwind", "name": "headwind", "version": version}},
        "components": components,
        "dependencies": [
            {"ref": "headwind" if one == top else purl(crates[one]), "dependsOn": sorted({purl(crates[on]) for on in linked(nodes[one])})}
            for one in [top, *order]
        ],
    }, indent=1, sort_keys=True) + "\n").encode()


if __name__ == "__main__":
    sys.stdout.buffer.write(document(pathlib.Path(__file__).resolve().parents[2], sys.argv[1], []))
