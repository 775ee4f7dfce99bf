#!/usr/bin/env python3
"""Writes what Python, Go and Node.js have to know of include/camrill.h: numbers, structs and functions.

    cbindings/generate.py            writes the files anew
    cbindings/generate.py --check    says which of them are stale, and writes none

The header is itself generated, so its text keeps to few shapes; whatever this doesn't know ends it.
"""

import re
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
HEADER = HERE.parent / "include" / "camrill.h"
NOTICE = "Generated from include/camrill.h by cbindings/generate.py: not to be changed by hand."
LIMITS = {"INT64_MIN": -(2**63), "INT64_MAX": 2**63 - 1, "INT32_MAX": 2**31 - 1, "UINT32_MAX": 2**32 - 1}


class Header:
    """The header taken apart. A type is text without `const` and `struct`: `camrill_retry_t`, `char *`."""

    def __init__(self, text):
        text, guard, _ = text.partition("#endif  /* CAMRILL_H */")
        if not guard:
            sys.exit(f"{HEADER}: no end of its include guard")
        self.constants = {}  # name without CAMRILL_: (value, lines of comment)
        self.opaque = []
        self.structs = {}  # name: [(field, type, None | length | [argument types])]
        self.functions = {}  # name: (type, [(type, whether it is const)])
        comment = []
        for line in text.splitlines():
            if line.startswith("//"):
                comment.append(line[2:].strip())
                continue
            found = re.fullmatch(r"#define CAMRILL_([A-Z0-9_]+) (.+)", line)
            if found and not found[1].endswith("_INIT") and not found[2].endswith("\\"):
                self.constants[found[1]] = (self.value(found[2]), comment)
            comment = []
        code = "\n".join(line.split("//")[0].rstrip() for line in text.splitlines() if not line.startswith("#"))
        code = re.sub(r"\bstruct\b(?! \w+ \{)", "", self.without_macros(text, code))
        for alias, name in re.findall(r"typedef\s+(\w+)\s+(\w+);", code):
            if alias == name:
                self.opaque.append(name)
            elif (alias, name) != ("uint32_t", "camrill_id_t"):
                sys.exit(f"{HEADER}: typedef {alias} {name} is not known")
        for name, body in re.findall(r"typedef struct (\w+) \{(.*?)\n\} \w+;", code, re.S):
            self.structs[name] = [self.field(part) for part in body.split(";") if part.strip()]
        declared = code.partition('extern "C" {')[2]
        for found in re.finditer(r"([\w\s*]+?)\b(camrill_\w+)\(([^()]*(?:\([^()]*\)[^()]*)*)\);", declared):
            arguments = self.arguments(found[3])
            self.functions[found[2]] = (self.type(found[1]), arguments)

    @staticmethod
    def without_macros(text, code):
        """The code without the continued lines of macros."""
        macros = set()
        for macro in re.findall(r"^#define .*\\\n(?:.*\\\n)*.*", text, re.M):
            macros.update(macro.splitlines()[1:])
        return "\n".join(line for line in code.splitlines() if line not in macros)

    def value(self, text):
        for name, (value, _) in self.constants.items():
            text = re.sub(rf"\bCAMRILL_{name}\b", str(value), text)
        for name, value in LIMITS.items():
            text = re.sub(rf"\b{name}\b", str(value), text)
        if not re.fullmatch(r"[-+0-9 ()|<]+", text):
            sys.exit(f"{HEADER}: {text} is no number that is known")
        return eval(text)  # digits and operators alone

    @staticmethod
    def type(text):
        text = re.sub(r"\bconst\b", "", text)
        return re.sub(r"\s*\*", " *", " ".join(text.split())).replace("* *", "**")

    def field(self, text):
        called = re.fullmatch(r"\s*(.+?)\(\*(\w+)\)\((.*)\)", text, re.S)
        if called:
            return called[2], self.type(called[1]), [kind for kind, _ in self.arguments(called[3])]
        kind, name, length = re.fullmatch(r"\s*(.+?)(\w+)(?:\[(\w+)\])?", text, re.S).groups()
        if length is None:
            return name, self.type(kind), None
        if length.startswith("CAMRILL_"):
            return name, self.type(kind), self.constants[length[8:]][0]
        return name, self.type(kind), int(length)

    def arguments(self, text):
        found = []
        for part in re.split(r",(?![^(]*\))", text):
            if part.strip() in ("", "void"):
                continue
            called = re.fullmatch(r"\s*void \(\*(\w+)\)\(.*\)", part, re.S)
            if called:
                found.append(("void (*)(void *)", False))
            else:
                kind = re.fullmatch(r"\s*(.+?)\w+\s*", part, re.S)[1]
                found.append((self.type(kind), "const" in kind))
        return found


PYTHON = {
    "void": "None",
    "int32_t": "c.c_int32",
    "uint32_t": "c.c_uint32",
    "uint16_t": "c.c_uint16",
    "int64_t": "c.c_int64",
    "uint64_t": "c.c_uint64",
    "size_t": "c.c_size_t",
    "char": "c.c_char",
    "camrill_id_t": "c.c_uint32",
    "void (*)(void *)": "CALLED",
}


def python_type(header, kind):
    if kind in PYTHON:
        return PYTHON[kind]
    if kind in header.structs:
        return kind
    if kind == "char *":
        return "c.c_char_p"
    if kind in ("void *", "uint8_t *") or kind.removesuffix(" *") in header.opaque:
        return "c.c_void_p"
    if kind.endswith("*"):
        return f"c.POINTER({python_type(header, kind[:-1].rstrip())})"
    sys.exit(f"{HEADER}: the type {kind} is not known")


def python_abi(header):
    lines = [f'"""What camrill.h says. {NOTICE}"""', "", "import ctypes as c", "", "CALLED = c.CFUNCTYPE(None, c.c_void_p)", ""]
    for name in header.structs:
        lines += ["", f"class {name}(c.Structure):", "    pass", ""]
    for name, fields in header.structs.items():
        described = []
        for field, kind, more in fields:
            if isinstance(more, list):
                kinds = ", ".join(python_type(header, each) for each in [kind, *more])
                lines += ["", f"{name}_{field} = c.CFUNCTYPE({kinds})"]
                described.append(f'    ("{field}", {name}_{field}),')
            else:
                times = "" if more is None else f" * {more}"
                described.append(f'    ("{field}", {python_type(header, kind)}{times}),')
        lines += ["", f"{name}._fields_ = [", *described, "]"]
    lines += ["", "STRUCTS: dict[str, type[c.Structure]] = {"]
    lines += [f'    "{name}": {name},' for name in header.structs]
    lines += ["}", "", "FUNCTIONS: dict[str, tuple[object, list[object]]] = {"]
    for name, (kind, arguments) in header.functions.items():
        kinds = ", ".join(python_type(header, each) for each, _ in arguments)
        lines.append(f'    "{name}": ({python_type(header, kind)}, [{kinds}]),')
    return "\n".join([*lines, "}", ""])


def python_constants(header):
    lines = [f'"""The numbers of camrill.h. {NOTICE}"""', "", "from typing import Final", ""]
    for name, (value, comment) in header.constants.items():
        lines += [*(f"# {line}" for line in comment), f"{name}: Final = {value}", ""]
    return "\n".join(lines)


def koffi_type(header, kind):
    """As koffi calls it; opaque types are plain pointers."""
    base = kind.rstrip(" *")
    stars = kind.count("*") if "(" not in kind else 0
    if kind == "void (*)(void *)":
        return "camrill_called *"
    if base == "camrill_id_t":
        base = "uint32_t"
    if base in header.opaque:
        base = "void"
    return base + (" " + "*" * stars if stars else "")


def koffi_argument(header, kind, is_const):
    """An argument of a function: structs are objects, what is written to is a buffer."""
    plain = koffi_type(header, kind)
    if kind.count("*") == 2 and kind.rstrip(" *") in header.opaque:
        return "_Out_ void **"
    if is_const or "*" not in kind or "(" in kind:
        return plain
    return f"_Inout_ {plain}" if kind.rstrip(" *") in header.structs else "void *"


def node_abi(header):
    lines = [f"// What camrill.h says. {NOTICE}", "'use strict';", "", "exports.structs = {"]
    for name, fields in header.structs.items():
        lines.append(f"  {name}: {{")
        for field, kind, more in fields:
            if isinstance(more, list):
                lines.append(f"    {field}: '{name}_{field} *',")
            else:
                times = "" if more is None else f"[{more}]"
                lines.append(f"    {field}: '{koffi_type(header, kind)}{times}',")
        lines.append("  },")
    lines += ["};", "", "exports.callbacks = {", "  camrill_called: ['void', ['void *']],"]
    for name, fields in header.structs.items():
        for field, kind, more in fields:
            if isinstance(more, list):
                each = [koffi_type(header, one) for one in more]
                kinds = ", ".join("'void *'" if "*" in one and one != "char *" else f"'{one}'" for one in each)
                lines.append(f"  {name}_{field}: ['{koffi_type(header, kind)}', [{kinds}]],")
    lines += ["};", "", "exports.functions = {"]
    for name, (kind, arguments) in header.functions.items():
        kinds = ", ".join(f"'{koffi_argument(header, *each)}'" for each in arguments)
        lines.append(f"  {name}: ['{koffi_type(header, kind)}', [{kinds}]],")
    return "\n".join([*lines, "};", ""])


def node_number(value):
    return f"{value}n" if abs(value) >= 2**53 else str(value)


def node_constants(header):
    lines = [f"// The numbers of camrill.h. {NOTICE}", "'use strict';", "", "module.exports = Object.freeze({"]
    lines += [f"  {name}: {node_number(value)}," for name, (value, _) in header.constants.items()]
    return "\n".join([*lines, "});", ""])


def node_declarations(header):
    lines = [f"// The numbers of camrill.h. {NOTICE}", ""]
    for name, (value, comment) in header.constants.items():
        lines.append(f"/** {' '.join(comment)} */")
        lines += [f"export declare const {name}: {node_number(value)};", ""]
    return "\n".join(lines)


def go_name(name):
    if re.fullmatch(r"E[A-Z]+", name) and name != "EVENT":
        return name
    words = {"hls": "HLS", "http": "HTTP", "id": "ID", "url": "URL", "api": "API", "nal": "NAL"}
    codecs = {"H264", "H265", "AV1", "VP9", "AAC", "MP3", "MJPEG", "FLAC", "G711A", "G711U", "FMP4", "TS", "FLV"}
    parts = name.split("_")
    return "".join(p if p in codecs else words.get(p.lower(), p.capitalize()) for p in parts)


def go_constants(header):
    lines = [f"// {NOTICE}", "", "package camrill", "", "// The numbers of camrill.h.", "const ("]
    for name, (value, comment) in header.constants.items():
        lines += [*(f"\t// {line}".rstrip() for line in comment), f"\t{go_name(name)} = {value}"]
    return "\n".join([*lines, ")", ""])


FILES = {
    "python/camrill/_abi.py": python_abi,
    "python/camrill/constants.py": python_constants,
    "node/abi.js": node_abi,
    "node/constants.js": node_constants,
    "node/constants.d.ts": node_declarations,
    "go/constants.go": go_constants,
}


def main():
    header = Header(HEADER.read_text(encoding="utf-8"))
    stale = []
    for name, write in FILES.items():
        path, text = HERE / name, write(header)
        if path.exists() and path.read_text(encoding="utf-8") == text:
            continue
        stale.append(name)
        if "--check" not in sys.argv:
            path.write_text(text, encoding="utf-8")
    if stale and "--check" in sys.argv:
        sys.exit(f"stale: {', '.join(stale)}; run `make header`")


if __name__ == "__main__":
    main()
