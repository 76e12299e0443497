#!/usr/bin/env python3
"""Pushes an OCI image layout to a registry: push.py LAYOUT HOST/REPOSITORY:TAG

Credentials come from REGISTRY_USERNAME and REGISTRY_PASSWORD, else from $DOCKER_CONFIG/config.json (~/.docker). A loopback
registry is reached by plain HTTP, and others with --plain-http.
"""

import argparse
import base64
import json
import os
import pathlib
import re
import sys
import urllib.error
import urllib.parse
import urllib.request


class Registry:
    """A repository of a registry, with the authorization that it asked for."""

    def __init__(self, host, repository, plain):
        self.base = f"{'http' if plain else 'https'}://{host}"
        self.repository = repository
        self.basic = credential(host)
        self.authorization = None

    def call(self, method, url, data=None, media_type=None, expect=()):
        """Sends a request, and once more with authorization if the registry asks for it."""
        for attempt in (1, 2):
            request = urllib.request.Request(urllib.parse.urljoin(self.base, url), data=data, method=method)
            if media_type:
                request.add_header("Content-Type", media_type)
            if self.authorization:
                # Not sent to another host after a redirect.
                request.add_unredirected_header("Authorization", self.authorization)
            try:
                with urllib.request.urlopen(request, timeout=300) as answer:
                    answer.read()
                    return answer.status, answer.headers
            except urllib.error.HTTPError as error:
                if error.code == 401 and attempt == 1:
                    self.authorize(error.headers.get("WWW-Authenticate", ""))
                elif error.code in expect:
                    return error.code, error.headers
                else:
                    sys.exit(f"{method} {url}: the registry answers {error.code}: {error.read(500).decode(errors='replace')}")
        return None

    def authorize(self, challenge):
        scheme, _, rest = challenge.partition(" ")
        if scheme.lower() == "basic" and self.basic:
            self.authorization = f"Basic {self.basic}"
            return
        fields = dict(re.findall(r'(\w+)="([^"]*)"', rest))
        if scheme.lower() != "bearer" or "realm" not in fields:
            sys.exit(f"the registry requires a login ({challenge}); set REGISTRY_USERNAME and REGISTRY_PASSWORD")
        query = {"service": fields.get("service", ""), "scope": f"repository:{self.repository}:pull,push"}
        request = urllib.request.Request(f"{fields['realm']}?{urllib.parse.urlencode(query)}")
        if self.basic:
            request.add_header("Authorization", f"Basic {self.basic}")
        try:
            with urllib.request.urlopen(request, timeout=60) as answer:
                token = json.load(answer)
        except urllib.error.HTTPError as error:
            sys.exit(f"{fields['realm']} answers {error.code}: are the credentials right?")
        self.authorization = f"Bearer {token.get('token') or token['access_token']}"

    def blob(self, digest, data):
        path = f"/v2/{self.repository}/blobs"
        status, _ = self.call("HEAD", f"{path}/{digest}", expect=(404,))
        if status == 404:
            _, headers = self.call("POST", f"{path}/uploads/", data=b"")
            place = headers["Location"]
            place += ("&" if "?" in place else "?") + urllib.parse.urlencode({"digest": digest})
            self.call("PUT", place, data=data, media_type="application/octet-stream")


def credential(host):
    """Returns user and password of a registry, encoded for basic authentication."""
    user, password = os.environ.get("REGISTRY_USERNAME"), os.environ.get("REGISTRY_PASSWORD")
    if user and password:
        return base64.b64encode(f"{user}:{password}".encode()).decode()
    file = pathlib.Path(os.environ.get("DOCKER_CONFIG", pathlib.Path.home() / ".docker")) / "config.json"
    if file.exists():
        return json.loads(file.read_text()).get("auths", {}).get(host, {}).get("auth")
    return None


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("layout", type=pathlib.Path)
    parser.add_argument("reference", help="HOST/REPOSITORY:TAG")
    parser.add_argument("--plain-http", action="store_true")
    arguments = parser.parse_args()
    found = re.fullmatch(r"([^/]+)/(.+):([\w.-]+)", arguments.reference)
    if not found:
        sys.exit(f"{arguments.reference} is not HOST/REPOSITORY:TAG")
    host, repository, tag = found.groups()
    loopback = re.fullmatch(r"(localhost|127\.[\d.]+|\[::1\])(:\d+)?", host)
    registry = Registry(host, repository, arguments.plain_http or bool(loopback))

    def content(digest):
        return (arguments.layout / "blobs" / digest.replace(":", "/")).read_bytes()

    (image,) = json.loads((arguments.layout / "index.json").read_text())["manifests"]
    manifest = json.loads(content(image["digest"]))
    for blob in [manifest["config"], *manifest["layers"]]:
        registry.blob(blob["digest"], content(blob["digest"]))
    registry.call("PUT", f"/v2/{repository}/manifests/{tag}", content(image["digest"]), image["mediaType"])
    print(f"{host}/{repository}:{tag}@{image['digest']}")


if __name__ == "__main__":
    main()
