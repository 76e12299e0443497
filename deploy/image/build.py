#!/usr/bin/env python3
"""Builds the image of Headwind as an OCI image layout, without a container engine.

The image has the binary, the libraries that it links, root certificates, time zones, and an SBOM. It has no shell. The
libraries are those of this machine, because the binary was linked with them. The same input gives the same bytes.
`--rootfs` writes the files of the image into a folder instead; the Dockerfile uses it.
"""

import argparse
import datetime
import gzip
import hashlib
import io
import json
import os
import pathlib
import platform
import re
import subprocess
import sys
import tarfile

import sbom

ROOT = pathlib.Path(__file__).resolve().parents[2]
MACHINES = {"x86_64": "amd64", "aarch64": "arm64"}
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
MANIFEST = "application/vnd.oci.image.manifest.v1+json"
INDEX = "application/vnd.oci.image.index.v1+json"

DIRECTORY = object()


def output(*command):
    """Returns what a command prints, or nothing if it fails."""
    try:
        return subprocess.run(command, cwd=ROOT, check=True, capture_output=True, text=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return ""


def libraries(binary):
    """Returns the libraries that the binary links, and the loader, as paths of this machine."""
    text = subprocess.run(["ldd", binary], check=True, capture_output=True, text=True).stdout
    paths = re.findall(r"(?:=> )?(/\S+) \(0x", text)
    if not paths:
        sys.exit(f"ldd finds no library in {binary}:\n{text}")
    return [pathlib.Path(path) for path in sorted(set(paths))]


def certificates(given):
    """Returns the root certificates: the given file, else those of the package ca-certificates.

    The bundle in /etc/ssl/certs is not used: it may have certificates that belong to this machine only.
    """
    if given:
        return given.read_bytes()
    files = sorted(pathlib.Path("/usr/share/ca-certificates/mozilla").glob("*.crt"))
    if not files:
        sys.exit("no root certificates: install the package ca-certificates, or use --certificates FILE")
    return b"".join(file.read_bytes().rstrip(b"\n") + b"\n" for file in files)


def zones():
    """Returns the time zones of the package tzdata."""
    folder = pathlib.Path("/usr/share/zoneinfo")
    if not (folder / "UTC").exists():
        sys.exit("no time zones: install the package tzdata")
    found = {}
    for file in sorted(folder.rglob("*")):
        name = file.relative_to(folder)
        if file.is_file() and name.parts[0] not in ("right", "posix") and file.name not in ("localtime", "posixrules"):
            found[f"usr/share/zoneinfo/{name}"] = file.resolve().read_bytes()
    return found


def packages(paths):
    """Returns names and versions of the Debian packages that the paths belong to."""
    found = set()
    for path in paths:
        # A path in /lib may be registered as /usr/lib.
        for candidate in (path, path.resolve(), pathlib.Path("/usr") / path.relative_to("/")):
            owner = output("dpkg-query", "--search", str(candidate)).split(": ")[0].split(",")[0]
            if owner and " " not in owner:
                found.add(output("dpkg-query", "--show", "--showformat=${Package} ${Version}", owner))
                break
    return sorted(found)


def base(arguments):
    """Returns the entries of the layer below the binary, and the packages that they come from."""
    linked = libraries(arguments.binary)
    entries = {
        "tmp": DIRECTORY,
        "lib": "usr/lib",
        "lib64": "usr/lib64",
        "etc/passwd": b"root:x:0:0:root:/:/sbin/nologin\nheadwind:x:65532:65532:headwind:/:/sbin/nologin\n",
        "etc/group": b"root:x:0:\nheadwind:x:65532:\n",
        "etc/nsswitch.conf": b"passwd: files\ngroup: files\nhosts: files dns\n",
        "etc/ssl/certs/ca-certificates.crt": certificates(arguments.certificates),
        **zones(),
    }
    for path in linked:
        name = str(path).lstrip("/")
        entries[name if name.startswith("usr/") else f"usr/{name}"] = (0o755, path.resolve().read_bytes())
    origins = packages([*linked, pathlib.Path("/usr/share/ca-certificates/mozilla"), pathlib.Path("/usr/share/zoneinfo/UTC")])
    for origin in origins:
        copyright_file = pathlib.Path("/usr/share/doc") / origin.split()[0] / "copyright"
        if copyright_file.exists():
            entries[f"usr/share/doc/{origin.split()[0]}/copyright"] = copyright_file.read_bytes()
    return entries, origins


def program(arguments, origins):
    """Returns the entries of the layer with the binary."""
    return {
        "usr/bin/headwind": (0o755, arguments.binary.read_bytes()),
        "usr/share/doc/headwind/LICENSE": (ROOT / "LICENSE").read_bytes(),
        "usr/share/doc/headwind/sbom.cdx.json": sbom.document(ROOT, arguments.version, origins),
    }


def archive(entries, epoch, level):
    """Returns a layer: the digest of the archive, and the compressed archive."""
    folders = {str(parent): DIRECTORY for name in entries for parent in pathlib.PurePosixPath(name).parents}
    del folders["."]
    entries = {**folders, **entries}
    raw = io.BytesIO()
    with tarfile.open(fileobj=raw, mode="w", format=tarfile.USTAR_FORMAT) as tar:
        for name in sorted(entries):
            entry, info = entries[name], tarfile.TarInfo(name)
            info.mtime = epoch
            if entry is DIRECTORY:
                info.type, info.mode = tarfile.DIRTYPE, 0o1777 if name == "tmp" else 0o755
                tar.addfile(info)
            elif isinstance(entry, str):
                info.type, info.linkname, info.mode = tarfile.SYMTYPE, entry, 0o777
                tar.addfile(info)
            else:
                info.mode, data = entry if isinstance(entry, tuple) else (0o644, entry)
                info.size = len(data)
                tar.addfile(info, io.BytesIO(data))
    compressed = io.BytesIO()
    with gzip.GzipFile(fileobj=compressed, mode="wb", filename="", mtime=0, compresslevel=level) as stream:
        stream.write(raw.getvalue())
    return digest(raw.getvalue()), compressed.getvalue()


def digest(data):
    return "sha256:" + hashlib.sha256(data).hexdigest()


def encode(value):
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


def layout(arguments, layers, origins, epoch):
    """Writes the image layout, and returns the digest of the manifest."""
    created = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    machine = {"architecture": MACHINES[platform.machine()], "os": "linux"}
    labels = {
        "org.opencontainers.image.title": "headwind",
        "org.opencontainers.image.description": "Keeps Kubernetes workloads on the right container image",
        "org.opencontainers.image.url": "https://headwind.sh",
        "org.opencontainers.image.licenses": "Apache-2.0",
        "org.opencontainers.image.version": arguments.version,
        "org.opencontainers.image.revision": output("git", "rev-parse", "HEAD"),
        "sh.headwind.packages": ", ".join(origins),
    }
    labels = {name: value for name, value in labels.items() if value}
    config = encode({
        **machine,
        "created": created,
        "config": {
            "User": "65532:65532",
            "Entrypoint": ["/usr/bin/headwind"],
            "Cmd": ["run"],
            "Env": ["PATH=/usr/bin"],
            "WorkingDir": "/",
            "ExposedPorts": {f"{port}/tcp": {} for port in (8080, 8081, 8082, 9090)},
            "Labels": labels,
        },
        "rootfs": {"type": "layers", "diff_ids": [diff for diff, _ in layers]},
        "history": [{"created": created, "created_by": name} for name in ("libraries", "headwind")],
    })

    def descriptor(data, media_type):
        return {"mediaType": media_type, "digest": digest(data), "size": len(data)}

    manifest = encode({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "config": descriptor(config, CONFIG),
        "layers": [descriptor(data, LAYER) for _, data in layers],
        "annotations": labels,
    })
    index = encode({
        "schemaVersion": 2,
        "mediaType": INDEX,
        "manifests": [{
            **descriptor(manifest, MANIFEST),
            "platform": machine,
            "annotations": {"org.opencontainers.image.ref.name": arguments.version},
        }],
    })
    blobs = arguments.output / "blobs" / "sha256"
    blobs.mkdir(parents=True, exist_ok=True)
    kept = {digest(data).removeprefix("sha256:"): data for data in (config, manifest, *(data for _, data in layers))}
    for stale in blobs.iterdir():
        if stale.name not in kept:
            stale.unlink()
    for name, data in kept.items():
        (blobs / name).write_bytes(data)
    (arguments.output / "oci-layout").write_text('{"imageLayoutVersion":"1.0.0"}')
    (arguments.output / "index.json").write_bytes(index)
    return digest(manifest)


def unpack(entries, folder):
    """Writes the entries into a folder."""
    for name in sorted(entries):
        entry, path = entries[name], folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if entry is DIRECTORY:
            path.mkdir(exist_ok=True)
            path.chmod(0o1777)
        elif isinstance(entry, str):
            path.symlink_to(entry)
        else:
            mode, data = entry if isinstance(entry, tuple) else (0o644, entry)
            path.write_bytes(data)
            path.chmod(mode)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--binary", type=pathlib.Path, required=True, help="the program headwind")
    parser.add_argument("--version", required=True, help="version in the labels and the SBOM")
    parser.add_argument("--output", type=pathlib.Path, help="folder for the image layout")
    parser.add_argument("--rootfs", type=pathlib.Path, help="folder for the files of the image")
    parser.add_argument("--certificates", type=pathlib.Path, help="root certificates in PEM format")
    parser.add_argument("--compression", type=int, default=9, help="level of gzip, 1 to 9 (default 9)")
    arguments = parser.parse_args()
    below, origins = base(arguments)
    above = program(arguments, origins)
    if arguments.rootfs:
        unpack({**below, **above}, arguments.rootfs)
    if arguments.output:
        # The time of the commit, so that everybody who builds a commit gets the same bytes.
        epoch = int(os.environ.get("SOURCE_DATE_EPOCH") or output("git", "log", "-1", "--format=%ct") or 0)
        layers = [archive(entries, epoch, arguments.compression) for entries in (below, above)]
        reference = layout(arguments, layers, origins, epoch)
        size = sum(len(data) for _, data in layers)
        print(f"{reference} {size / 1e6:.1f} MB", file=sys.stderr)
        print(reference)


if __name__ == "__main__":
    main()
