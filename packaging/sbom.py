#!/usr/bin/env python3
"""sbom.py VERSION FILE [MAP SYSROOT]: prints what FILE is made of as an SPDX 2.3 document. Of a static program these are the packages
whose archives the linker took members of, as its MAP says; SYSROOT/files says of which package a file is (sysroot.sh), dpkg says it of
the compiler's own."""

import datetime
import hashlib
import json
import os
import re
import subprocess
import sys


def linked(map_file, sysroot):
    """The archives and objects that the linker loaded, by the package that has them: {(package, version)}."""
    owners = {}
    for line in open(f"{sysroot}/files"):
        path, package, version = line.split()
        owners[os.path.basename(path)] = (package, version)
    found = set()
    for path in re.findall(r"^LOAD (\S+)$", open(map_file).read(), re.M):
        if not os.path.isabs(path):
            continue  # our own
        path = os.path.realpath(path)
        if path.startswith(os.path.realpath(sysroot)):
            found.add(owners[os.path.basename(path)])
            continue
        package = subprocess.run(["dpkg", "-S", path], capture_output=True, text=True, check=True).stdout.split(":")[0]
        version = subprocess.run(["dpkg-query", "-W", "-f", "${Version}", package], capture_output=True, text=True,
                                 check=True).stdout.split("\n")[0]
        found.add((package, version))
    return sorted(found)


def package(name, version, **more):
    return {"SPDXID": "SPDXRef-" + re.sub(r"[^A-Za-z0-9.-]", "-", name), "name": name, "versionInfo": version,
            "downloadLocation": "NOASSERTION", "filesAnalyzed": False, "licenseConcluded": "NOASSERTION",
            "licenseDeclared": "NOASSERTION", "copyrightText": "NOASSERTION", **more}


def main(version, path, map_file=None, sysroot=None):
    digest = hashlib.sha256(open(path, "rb").read()).hexdigest()
    parts = linked(map_file, sysroot) if map_file else []
    ours = package("grf-rsp", version, supplier="Organization: grf-rsp developers", packageFileName=os.path.basename(path),
                   checksums=[{"algorithm": "SHA256", "checksumValue": digest}])
    created = datetime.datetime.fromtimestamp(int(os.environ["SOURCE_DATE_EPOCH"]), datetime.timezone.utc)
    print(json.dumps({
        "spdxVersion": "SPDX-2.3", "dataLicense": "CC0-1.0", "SPDXID": "SPDXRef-DOCUMENT", "name": os.path.basename(path),
        "documentNamespace": f"urn:grf-rsp:{os.path.basename(path)}:{digest}",
        "creationInfo": {"created": created.strftime("%Y-%m-%dT%H:%M:%SZ"), "creators": ["Tool: grf-rsp-sbom.py"]},
        "packages": [ours] + [package(n, v, supplier="Organization: Debian", externalRefs=[
            {"referenceCategory": "PACKAGE-MANAGER", "referenceType": "purl",
             "referenceLocator": f"pkg:deb/debian/{n}@{v.replace(':', '%3A').replace('+', '%2B')}"}]) for n, v in parts],
        "relationships": [{"spdxElementId": "SPDXRef-DOCUMENT", "relationshipType": "DESCRIBES",
                           "relatedSpdxElement": ours["SPDXID"]}] +
                         [{"spdxElementId": ours["SPDXID"], "relationshipType": "STATIC_LINK",
                           "relatedSpdxElement": package(n, v)["SPDXID"]} for n, v in parts],
    }, indent=1, sort_keys=True))


main(*sys.argv[1:])
