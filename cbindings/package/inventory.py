#!/usr/bin/env python3
"""What the library is made of: the crates that are linked into it, their licences, and Rust's standard library.

    inventory.py sbom         [--target TRIPLE] [CARGO'S FEATURE OPTIONS]    CycloneDX 1.5, in JSON
    inventory.py third-party  [--target TRIPLE] [CARGO'S FEATURE OPTIONS]    names, licences and their texts

Both say the same whenever they are made of the same sources: times come from SOURCE_DATE_EPOCH, the SBOM's number
from its content. Both fail when a crate's licence is not one of ALLOWED. Python 3.7 or later, nothing else.
"""

import datetime
import glob
import hashlib
import json
import os
import re
import subprocess
import sys
import uuid

# What may be linked into a product whose sources are closed, and asks for no more than its notice to be kept.
ALLOWED = {
    "0BSD", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-2-Clause", "BSD-3-Clause", "BSL-1.0", "CC0-1.0",
    "ISC", "MIT", "MIT-0", "Unicode-3.0", "Unicode-DFS-2016", "Unlicense", "Zlib",
}

# Files of a crate that hold its licence or what has to be said with it.
NOTICES = re.compile(r"(licen[cs]e|copying|copyright|notice|unlicense)", re.IGNORECASE)

# The standard library's own parts, and what only programs that test or extend the compiler link.
STD_OWN = {
    "alloc", "core", "getopts", "panic_abort", "panic_unwind", "proc_macro", "profiler_builtins",
    "rustc_literal_escaper", "std", "std_detect", "sysroot", "test", "unwind",
}


def fail(message):
    sys.exit("inventory.py: " + message)


def run(*command):
    return subprocess.run(command, check=True, stdout=subprocess.PIPE, universal_newlines=True).stdout


def allowed(expression):
    """Whether an SPDX expression may be chosen so that all that is chosen is allowed."""
    words = re.findall(r"\(|\)|[^\s()]+", expression)

    def either():
        answer = both()
        while words and words[0] == "OR":
            words.pop(0)
            answer = both() or answer
        return answer

    def both():
        answer = one()
        while words and words[0] == "AND":
            words.pop(0)
            answer = one() and answer
        return answer

    def one():
        word = words.pop(0) if words else ""
        if word == "(":
            answer = either()
            if not words or words.pop(0) != ")":
                fail("a licence has a parenthesis too many: " + expression)
            return answer
        if words[:1] == ["WITH"]:
            word = " ".join([word, words.pop(0), words.pop(0) if words else ""])
        return word in ALLOWED

    answer = either()
    if words:
        fail("a licence is not an SPDX expression: " + expression)
    return answer


class Crate:
    def __init__(self, package, checksum):
        self.name, self.version = package["name"], package["version"]
        self.description = " ".join((package["description"] or "").split())
        # Before SPDX expressions were asked for, a slash was an OR.
        self.licence = re.sub(r"\s*/\s*", " OR ", package["license"] or "")
        self.sites = [{"type": kind, "url": package[field]}
                      for kind, field in (("vcs", "repository"), ("website", "homepage")) if package[field]]
        self.folder = os.path.dirname(package["manifest_path"])
        self.checksum = checksum
        self.purl = "pkg:cargo/%s@%s" % (self.name, self.version.replace("+", "%2B"))
        self.needs = set()

    def notices(self):
        """Its licence files: name and text."""
        found = []
        for name in sorted(os.listdir(self.folder)):
            path = os.path.join(self.folder, name)
            inner = sorted(glob.glob(os.path.join(path, "*"))) if os.path.isdir(path) else [path]
            if NOTICES.match(name):
                found += [(os.path.relpath(p, self.folder), read(p)) for p in inner if os.path.isfile(p)]
        return found


def read(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        return file.read()


def crates(target, features):
    """The crates that are linked, sorted, and the project itself.

    `cargo metadata` unites the features of all that is built, the tests' crates among it; `cargo tree` knows what
    is taken with what.
    """
    metadata = json.loads(run("cargo", "metadata", "--locked", "--format-version", "1", *features))
    checksums = {}
    for block in read("Cargo.lock").split("[[package]]")[1:]:
        fields = dict(re.findall(r'^(name|version|checksum) = "(.*)"$', block, re.MULTILINE))
        checksums[fields["name"], fields["version"]] = fields.get("checksum")
    packages = {(p["name"], p["version"]): p for p in metadata["packages"]}

    found, stack = {}, []
    tree = run("cargo", "tree", "--locked", "--edges", "normal,no-proc-macro", "--no-dedupe", "--prefix", "depth",
               "--format", " {p}", "--target", target, *features)
    for line in tree.splitlines():
        depth, name, version = re.match(r"(\d+) (\S+) v(\S+)", line).groups()
        key = (name, version)
        if key not in found:
            found[key] = Crate(packages[key], checksums[key])
        del stack[int(depth):]
        if stack:
            stack[-1].needs.add(found[key].purl)
        stack.append(found[key])
    root = stack[0]
    others = sorted((c for c in found.values() if c is not root), key=lambda c: (c.name, c.version))
    bad = ["%s %s: %s" % (c.name, c.version, c.licence or "none") for c in others
           if not c.licence or not allowed(c.licence)]
    if bad:
        fail("licences that are not in the list of what is allowed: " + "; ".join(bad))
    return root, others


def std_crates(target):
    """The crates by others that the toolchain's standard library has in it, as far as it shows them."""
    sysroot = run("rustc", "--print", "sysroot").strip()
    names = set()
    for path in glob.glob(os.path.join(sysroot, "lib", "rustlib", target, "lib", "lib*.rlib")):
        names.add(re.sub(r"-[0-9a-f]+$", "", os.path.basename(path)[3:-5]))
    if not names:
        names = built_std_crates(target, sysroot)
    return sorted(n for n in names if n not in STD_OWN and not n.startswith("rustc_std_workspace"))


def built_std_crates(target, sysroot):
    """The same where it was built with the library: what it may need, and what was compiled."""
    lock = os.path.join(sysroot, "lib", "rustlib", "src", "rust", "library", "Cargo.lock")
    if not os.path.exists(lock):
        return set()
    wanted = {n.replace("-", "_") for n in re.findall(r'^name = "(.*)"$', read(lock), re.MULTILINE)}
    folder = os.path.join(os.environ.get("CARGO_TARGET_DIR", "target"), target, "release", "deps")
    compiled = {re.sub(r"-[0-9a-f]+$", "", os.path.basename(p)[:-2]) for p in glob.glob(os.path.join(folder, "*.d"))}
    return wanted & compiled


def sbom(target, features):
    root, others = crates(target, features)
    rustc = dict(re.findall(r"^(\S+): (.*)$", run("rustc", "-vV"), re.MULTILINE))
    std = {
        "type": "library",
        "bom-ref": "pkg:generic/rust-std@" + rustc["release"],
        "name": "rust-std",
        "version": rustc["release"],
        "description": "Rust's standard library, as it comes with the compiler",
        "licenses": [{"expression": "MIT OR Apache-2.0"}],
        "purl": "pkg:generic/rust-std@" + rustc["release"],
        "externalReferences": [{"type": "vcs", "url": "https://github.com/rust-lang/rust"}],
        "properties": [{"name": "commit", "value": rustc["commit-hash"]}]
        + [{"name": "includes", "value": name} for name in std_crates(target)],
    }

    def component(crate):
        out = {"type": "library", "bom-ref": crate.purl, "name": crate.name, "version": crate.version}
        out["description"] = crate.description
        if crate.checksum:
            out["hashes"] = [{"alg": "SHA-256", "content": crate.checksum}]
        out["licenses"] = [{"expression": crate.licence}]
        out["purl"] = crate.purl
        if crate.sites:
            out["externalReferences"] = crate.sites
        return out

    epoch = int(os.environ.get("SOURCE_DATE_EPOCH", "0"))
    when = datetime.datetime.fromtimestamp(epoch, datetime.timezone.utc)
    bom = {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {
            "timestamp": when.strftime("%Y-%m-%dT%H:%M:%SZ"),
            "component": component(root),
            "properties": [{"name": "target", "value": target},
                           {"name": "features", "value": " ".join(features) or "default"}],
        },
        "components": [component(crate) for crate in others] + [std],
        "dependencies": [{"ref": c.purl, "dependsOn": sorted(c.needs | {std["bom-ref"]})} for c in [root] + others]
        + [{"ref": std["bom-ref"], "dependsOn": []}],
    }
    # A number of its own for each content: the first 16 bytes of the content's hash, made a UUID.
    digest = hashlib.sha256(json.dumps(bom, sort_keys=True).encode()).digest()
    bom["serialNumber"] = uuid.UUID(bytes=digest[:16], version=5).urn
    print(json.dumps(bom, indent=2, sort_keys=True, ensure_ascii=False))


def third_party(target, features):
    root, others = crates(target, features)
    line = "=" * 100
    print("Third-party software in %s %s for %s\n" % (root.name, root.version, target))
    print("What is listed here is linked into the library. Who passes on a program with the library in it, passes")
    print("these notices on with it. The library's own licence is in LICENSE-MIT and LICENSE-APACHE.\n")
    for crate in others:
        print("  %-24s %-10s %s" % (crate.name, crate.version, crate.licence))
    rustc = re.search(r"^release: (.*)$", run("rustc", "-vV"), re.MULTILINE).group(1)
    print("  %-24s %-10s %s" % ("Rust's standard library", rustc, "MIT OR Apache-2.0"))
    print("\nThe standard library is by the Rust Project's developers; its tables of Unicode are under Unicode-3.0.")
    names = std_crates(target)
    if names:
        print("It includes crates that may each be used under MIT or Apache-2.0, foldhash (Zlib) and these:\n"
              "%s." % ", ".join(names))
    print("Its notices in full are in COPYRIGHT-rust-std.html beside this file; where the compiler that was used came")
    print("without them, https://www.rust-lang.org/policies/licenses has more.")

    # The same text, Apache's above all, is given once, with the crates that it is for.
    texts = {}
    for crate in others:
        notices = crate.notices()
        if not notices:
            fail("%s %s has no licence file" % (crate.name, crate.version))
        for name, text in notices:
            key = " ".join(text.split())
            texts.setdefault(key, (text, []))[1].append("%s %s (%s)" % (crate.name, crate.version, name))
    for text, users in texts.values():
        print("\n%s\n%s\n%s\n" % (line, "\n".join(users), line))
        print(text.expandtabs().strip("\n"))


def main():
    arguments = sys.argv[1:]
    actions = {"sbom": sbom, "third-party": third_party}
    if not arguments or arguments[0] not in actions:
        sys.exit(__doc__)
    action = actions[arguments.pop(0)]
    target = ""
    if arguments[:1] == ["--target"]:
        target = arguments[1]
        del arguments[:2]
    target = target or re.search(r"^host: (.*)$", run("rustc", "-vV"), re.MULTILINE).group(1)
    os.chdir(os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", ".."))
    sys.stdout.reconfigure(encoding="utf-8")
    action(target, arguments)


main()
