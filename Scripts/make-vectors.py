#!/usr/bin/env python3
"""Makes the golden vectors of the wire, Tests/Vectors/wire/*.json, from the tables of docs/PROTOCOL.md.

It reads the specification and nothing of the code, so that vectors, specification and codec check each other.
Without arguments it writes the files; with --check it fails when they or the document's example differ;
with --example it prints the example session of the specification as Markdown.
"""

import json
import pathlib
import re
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SPEC = ROOT / "docs" / "PROTOCOL.md"
OUT = ROOT / "Tests" / "Vectors" / "wire"
WIDTHS = {"u8": 1, "u16": 2, "u32": 4, "u64": 8}
HEADER_MAXIMUM = 65536


# ---- The specification's tables -------------------------------------------------------------------------------------


def rows(section):
    """The cells of a section's tables, without heads and rules."""
    found, in_table = [], False
    for line in section.splitlines():
        if not line.startswith("|"):
            in_table = False
            continue
        cells = [cell.strip() for cell in line.strip().strip("|").split("|")]
        if not in_table:
            in_table = True  # the head
        elif not re.fullmatch(r"[-:| ]+", line):
            found.append(cells)
    return found


def section(text, title):
    match = re.search(rf"^(#+) [\d.]* ?{re.escape(title)}\n(.*?)(?=^#|\Z)", text, re.M | re.S)
    if not match:
        sys.exit(f"{SPEC}: there is no section named {title!r}")
    return match[2]


class Int:
    def __init__(self, name, width, choice=None, zero=False):
        self.name, self.width, self.choice, self.zero = name, width, choice, zero


class Text:
    def __init__(self, name, maximum, required):
        self.name, self.maximum, self.required = name, maximum, required


class List:
    def __init__(self, name, maximum, elements, plain):
        self.name, self.maximum, self.elements, self.plain = name, maximum, elements, plain


class Verb:
    def __init__(self, code, name, uses, identifier):
        self.code, self.name = code, name
        self.flags = "F" in uses
        self.content = "C" in uses.replace("failed", "")
        self.failed = "failed" in uses
        self.status = self.failed or "S" in uses
        self.id = identifier
        self.fields = []


def parse_type(name, spelled, choices):
    if match := re.fullmatch(r"list (\d+)(?: of (text .*))?", spelled):
        plain = match[2] is not None
        return List(name, int(match[1]), [parse_type(name, match[2], choices)] if plain else [], plain)
    if match := re.fullmatch(r"text (\d+)(, not empty)?", spelled):
        return Text(name, int(match[1]), match[2] is not None)
    width, _, extra = spelled.partition(" ")
    zero = extra == "zero"
    return Int(name, WIDTHS[width], choices[extra] if extra and not zero else None, zero)


def read_spec():
    text = SPEC.read_text(encoding="utf-8")
    choices = {
        "band": [int(row[0]) for row in rows(section(text, "Bands"))],
        "clock": [int(row[0]) for row in rows(section(text, "Clocks"))],
        "phase": [int(row[0]) for row in rows(section(text, "Phases"))],
    }
    flags = {}
    for of, bit, name, _ in rows(section(text, "Flags")):
        flags.setdefault(of, {})[name] = int(bit)
    verbs = {}
    for code, name, _, uses, identifier, *_ in rows(section(text, "Verbs")):
        verb = verbs[name] = Verb(int(code, 16), name, uses, identifier)
        offset = 16
        for at, spelled, field, _ in rows(section(text, name)):
            kind = parse_type(field, spelled, choices)
            parent = verb.fields[-1] if verb.fields else None
            if isinstance(parent, List) and field.startswith(parent.name + "."):
                parent.elements.append(kind)
                offset = None
                continue
            if (at == "+") != (offset is None) or (offset is not None and int(at) != offset):
                sys.exit(f"{SPEC}: {name}.{field} is said to be at {at}, the fields before it end at {offset}")
            verb.fields.append(kind)
            if offset is not None:
                offset = offset + kind.width if isinstance(kind, Int) else None
    return verbs, flags


VERBS, FLAGS = read_spec()


# ---- Bytes ----------------------------------------------------------------------------------------------------------


def little(value, width):
    return int(value).to_bytes(width, "little")


def bits(of, names):
    return sum(1 << FLAGS[of][name] for name in names)


class Encoded:
    """A header's bytes, and where each of its fields stands: (field, offset, end)."""

    def __init__(self, verb, values):
        self.verb, self.places = verb, []
        self.data = b""
        self.integer("version", 1, 1)
        self.integer("verb", verb.code, 1)
        self.integer("flags", bits(verb.name, values.get("flags", [])), 2)
        self.integer("contentType", values.get("contentType", 0), 2)
        self.integer("status", values.get("status", 0), 2)
        self.integer("id", values.get("id", 0), 8)
        for field in verb.fields:
            self.field(field, values)

    def put(self, field, data):
        self.places.append((field, len(self.data), len(self.data) + len(data)))
        self.data += data

    def integer(self, name, value, width):
        self.put(Int(name, width), little(value, width))

    def field(self, field, values):
        key = field.name.rpartition(".")[2]
        if isinstance(field, Int):
            value = values.get(key, 0)
            self.put(field, little(bits("METHOD", value) if isinstance(value, list) else value, field.width))
        elif isinstance(field, Text):
            content = values.get(key, "").encode("utf-8")
            self.put(field, little(len(content), 2) + content)
        else:
            elements = values.get(key, [])
            self.put(field, little(len(elements), 2))
            for element in elements:
                for inner in field.elements:
                    self.field(inner, {key: element} if field.plain else element)


def as_json(verb, values):
    """The fields as a vector shows them: all of them, numbers of 64 bits in decimal text."""
    shown = {}
    if verb.flags:
        shown["flags"] = values.get("flags", [])
    if verb.content:
        shown["contentType"] = values.get("contentType", 0)
    if verb.status:
        shown["status"] = values.get("status", 0)
    if verb.id != "0":
        shown["id"] = str(values.get("id", 0))
    shown.update(fields_as_json(verb.fields, values))
    return shown


def fields_as_json(fields, values):
    shown = {}
    for field in fields:
        key = field.name.rpartition(".")[2]
        if isinstance(field, Int):
            if not field.zero:
                value = values.get(key, [] if field.name == "methods.flags" else 0)
                shown[key] = str(value) if field.width == 8 else value
        elif isinstance(field, Text):
            shown[key] = values.get(key, "")
        else:
            elements = values.get(key, [])
            shown[key] = elements if field.plain else [fields_as_json(field.elements, one) for one in elements]
    return shown


# ---- Good vectors ---------------------------------------------------------------------------------------------------

LEASE = 1 << 63 | 5 << 32 | 42
TEXTS = ["grüße", "γειά", "日本語", "🧙‍♂️", "e\u0301", "\u0000nul", "a\"b\\c\n"]

EXAMPLES = {
    "HELLO": [{"minimumVersion": 1, "maximumVersion": 1, "name": "echo", "version": "1.0.0", "instance": "1",
               "sdk": "example/1", "batchByteCount": 65536}],
    "WELCOME": [{"version": 1, "epoch": 1767225600, "session": 7, "heartbeatMilliseconds": 700,
                 "maximumPayloadByteCount": 1 << 20, "maximumCallCount": 4096, "principal": "echo",
                 "broker": "wizmesh/1.0.0", "batchByteCount": 16384}],
    "REJECT": [{"status": 16, "message": "The ticket has been used. Start the plugin by its host."},
               {"status": 14, "retryAfterMilliseconds": 500, "message": "The broker is starting."}],
    "PING": [{"id": 3}],
    "PONG": [{"id": 3}],
    "BYE": [{"status": 14, "reason": "The broker shuts down."}],
    "BATCH": [{}],
    "PROVIDE": [{"contentType": 1, "id": 1, "capacity": 8, "weight": 100, "service": "echo", "version": "1.0.0",
                 "methods": [{"name": "echo", "flags": ["idempotent"]},
                             {"name": "count", "flags": ["replyStream"], "deadlineMilliseconds": 60000,
                              "permissions": ["storage"]}],
                 "attributes": [{"name": "model", "value": "tiny"}], "capabilities": ["text"]}],
    "WITHDRAW": [{"id": 1}],
    "CAPACITY": [{"id": 1, "capacity": 4, "weight": 50}],
    "DRAIN": [{"id": 9, "reason": "SIGTERM"}, {"graceMilliseconds": 30000, "reason": "A new generation has started."}],
    "CALL": [{"contentType": 1, "id": 1, "band": 1, "service": "echo", "range": "^1.0.0", "method": "echo"},
             {"flags": ["idempotent"], "contentType": 1, "id": LEASE, "totalMilliseconds": 5000, "band": 1,
              "service": "echo", "range": "^1.0.0", "method": "echo", "caller": "uid-1000"},
             {"flags": ["replyStream", "byCapability"], "contentType": 1, "id": 77, "totalMilliseconds": 0xFFFFFFFF,
              "queueMilliseconds": 250, "firstChunkMilliseconds": 2000, "idleMilliseconds": 1000,
              "creditMessages": 64, "creditBytes": 65536, "cost": 512, "band": 2, "parent": LEASE,
              "traceHigh": 0x0AF7651916CD43DD, "traceLow": 0x8448EB211C80319C, "span": 0xB7AD6B7169203331,
              "traceFlags": 1, "service": "text-generation", "range": ">=1.2.0 <3", "method": "generate",
              "affinity": "conversation-8", "conditions": "model=tiny;contextLength>=4096"}],
    "ACCEPT": [{"id": LEASE, "creditMessages": 16, "creditBytes": 1 << 16}],
    "CHUNK": [{"contentType": 1, "id": LEASE, "sequence": 3},
              {"flags": ["last"], "contentType": 0, "id": 77, "sequence": 4}],
    "END": [{"contentType": 1, "id": LEASE},
            {"contentType": 1, "id": 1, "queuedMicroseconds": 12, "serviceMicroseconds": 340, "provider": 7},
            {"id": 1}],
    "FAIL": [{"flags": ["retryable"], "contentType": 1, "status": 8, "id": 77, "retryAfterMilliseconds": 40,
              "phase": 1, "message": "The queue of llm@1.0.0 is full: 4096 calls wait.",
              "hint": "Try again after 40 ms."},
             {"flags": ["outcomeUnknown"], "status": 4, "id": 78, "clock": 1, "phase": 3, "origin": "llm",
              "message": "The total clock of 5000 ms ran out."}],
    "REFUSE": [{"status": 8, "id": LEASE, "retryAfterMilliseconds": 20, "message": "All slots are taken."}],
    "CANCEL": [{"status": 4, "id": LEASE, "reason": "The total clock ran out."}, {"status": 1, "id": 77}],
    "CREDIT": [{"id": 77, "creditMessages": 32, "creditBytes": 32768}],
    "SUBSCRIBE": [{"flags": ["resume"], "id": 5, "creditMessages": 100, "creditBytes": 1 << 20, "since": 1234,
                   "pattern": "mesh.plugin.>"}],
    "SUBSCRIBED": [{"id": 5, "sequence": 1300, "missed": 2}],
    "UNSUBSCRIBE": [{"id": 5}],
    "PUBLISH": [{"flags": ["retain", "acknowledge"], "contentType": 1, "id": 6, "topic": "ui.theme.changed"}],
    "EVENT": [{"flags": ["replay"], "contentType": 1, "id": 5, "sequence": 1299, "delivery": 1, "dropped": 3,
               "timestamp": 1767225600000000000, "topic": "ui.theme.changed", "publisher": "ui"}],
}


def prefix_values(verb, number, largest):
    values = {}
    if verb.flags and largest:
        values["flags"] = list(FLAGS[verb.name])
    if verb.content:
        values["contentType"] = 0xFFFF if largest else 0
    if verb.failed:
        values["status"] = 0xFFFF if largest else 1
    elif verb.status:
        values["status"] = 0xFFFF if largest else 0
    if "request" == verb.id.split(",")[0] and "or 0" not in verb.id:
        values["id"] = (1 << 63) - 1 if largest else 1
    elif verb.id == "call":
        values["id"] = (1 << 64) - 1 if largest else 1
    elif verb.id != "0":
        values["id"] = (1 << 64) - 1 if largest else number
    return values


def fill(fields, integer, text, count):
    values = {}
    for place, field in enumerate(fields):
        key = field.name.rpartition(".")[2]
        if isinstance(field, Int):
            if field.name == "methods.flags":
                values[key] = list(FLAGS["METHOD"]) if integer(field) else []
            else:
                values[key] = 0 if field.zero else integer(field)
        elif isinstance(field, Text):
            values[key] = text(field, place)
        else:
            made = [fill(field.elements, integer, text, count) for _ in range(count(field))]
            values[key] = [next(iter(one.values())) for one in made] if field.plain else made
    return values


def largest(field):
    return max(field.choice) if field.choice else (1 << 8 * field.width) - 1


def fill_text(maximum):
    """Exactly so many bytes, ending in a character of three."""
    return "x" * (maximum - 3) + "語"


def good(verb):
    made = []

    def add(name, values, **more):
        made.append({"name": name, "hex": Encoded(verb, values).data.hex(), "fields": as_json(verb, values), **more})

    zero = fill(verb.fields, lambda _: 0, lambda field, _: "a" if field.required else "", lambda _: 0)
    add("minimal", {**prefix_values(verb, 0, False), **zero})
    for number, values in enumerate(EXAMPLES[verb.name]):
        add(f"example {number + 1}", values)
    add("largest numbers", {**prefix_values(verb, 0, True),
                            **fill(verb.fields, largest, lambda field, _: "a", lambda _: 1)})
    if any(not isinstance(field, Int) for field in verb.fields):
        add("texts beyond ASCII", {**prefix_values(verb, 1, False),
                                   **fill(verb.fields, lambda _: 0, lambda _, place: TEXTS[place % len(TEXTS)],
                                          lambda _: 2)})
        add("longest texts", {**prefix_values(verb, 1, False),
                              **fill(verb.fields, lambda _: 0, lambda field, _: fill_text(field.maximum),
                                     lambda _: 1)})
    if any(isinstance(field, List) for field in verb.fields):
        add("longest lists", {**prefix_values(verb, 1, False),
                              **fill(verb.fields, lambda _: 0, lambda field, _: "a",
                                     lambda field: 1 if field.name == "methods.permissions" else field.maximum)})
        add("longest inner list", {**prefix_values(verb, 1, False),
                                   **fill(verb.fields, lambda _: 0, lambda field, _: "a",
                                          lambda field: field.maximum if field.name == "methods.permissions" else 1)})
    if verb.name in ("HELLO", "WELCOME", "REJECT"):
        values = EXAMPLES[verb.name][0]
        data = Encoded(verb, values).data
        later = {"fields": as_json(verb, values), "canonical": False}
        made.append({"name": "fields of a later version", "hex": (data + b"\x07later").hex(), **later})
        made.append({"name": "as large as a header may be", "hex": data.hex(),
                     "padding": HEADER_MAXIMUM - len(data), **later})
    values = EXAMPLES[verb.name][0]
    data = bytearray(Encoded(verb, values).data)
    if not verb.content:
        data[4:6] = b"\x01\x00"
    if not verb.status:
        data[6:8] = b"\x02\x00"
    if verb.id == "0":
        data[8:16] = little(5, 8)
    if bytes(data) != Encoded(verb, values).data:
        made.append({"name": "prefix fields that the verb does not use", "hex": data.hex(),
                     "fields": as_json(verb, values), "canonical": False})
    return made


# ---- Malformed headers ----------------------------------------------------------------------------------------------

NOT_UTF8 = {"a lone byte": b"\xff", "an overlong form": b"\xc0\x80", "a surrogate": b"\xed\xa0\x80",
            "a cut character": b"ab\xe2\x82", "beyond Unicode": b"\xf4\x90\x80\x80",
            "a continuation after ASCII": b"abcdefghij\x80"}


def malformed_base(verb):
    """A header with something in every field."""
    values = fill(verb.fields, lambda _: 1, lambda field, place: "ab-" + str(place), lambda _: 2)
    return Encoded(verb, {**prefix_values(verb, 1, False), **values})


def malformed(verb):
    base = malformed_base(verb)
    data, made = base.data, []

    def add(name, data, field, offset, problem):
        made.append({"name": name, "hex": data.hex(), "verb": verb.name, "field": field, "offset": offset,
                     "problem": problem})

    add("no body", data[:16], base.places[6][0].name, 16, "truncated") if len(base.places) > 6 else None
    for field, start, end in base.places[6:]:
        name = field.name
        if isinstance(field, Int):
            for cut in range(start, end):
                if cut > 16:
                    add(f"{name} is cut after {cut - start} bytes", data[:cut], name, start, "truncated")
            if field.choice:
                for value in (max(field.choice) + 1, 255):
                    add(f"{name} is {value}", data[:start] + bytes([value]) + data[end:], name, start, "unknownValue")
            if field.zero:
                add(f"{name} is set", data[:start] + little(0x100, 2) + data[end:], name, start, "mustBeZero")
            if name == "methods.flags":
                add(f"{name} has bit 3", data[:start] + little(8, 2) + data[end:], name, start, "unknownFlags")
        elif isinstance(field, Text):
            for cut in (start + 1, start + 2, end - 1):
                add(f"{name} is cut after {cut - start} bytes", data[:cut], name, start, "truncated")
            long = field.maximum + 1
            add(f"{name} is too long", data[:start] + little(long, 2) + b"a" * long + data[end:], name, start,
                "tooLong")
            add(f"{name} claims 65535 bytes", data[:start] + b"\xff\xff" + data[start + 2:], name, start, "tooLong")
            if field.required:
                add(f"{name} is empty", data[:start] + b"\0\0" + data[end:], name, start, "empty")
            for why, content in NOT_UTF8.items():
                add(f"{name} holds {why}", data[:start] + little(len(content), 2) + content + data[end:], name, start,
                    "notUTF8")
        else:
            add(f"{name} has half a count", data[:start + 1], name, start, "truncated")
            first = field.elements[0].name
            add(f"{name} claims {field.maximum} and has none", data[:start] + little(field.maximum, 2), first, end,
                "truncated")
            for count in (field.maximum + 1, 65535):
                add(f"{name} claims {count}", data[:start] + little(count, 2) + data[end:], name, start, "tooLong")
    if verb.name not in ("HELLO", "WELCOME", "REJECT"):
        for more in (b"\0", b"\x01\x02\x03"):
            add(f"{len(more)} bytes too many", data + more, "end", len(data), "trailingBytes")
    known = sum(1 << bit for bit in FLAGS[verb.name].values()) if verb.flags else 0
    for bit in range(16):
        if not known >> bit & 1 and (bit in (0, 15) or known >> (bit - 1) & 1):
            add(f"flag bit {bit}", data[:2] + little(1 << bit, 2) + data[4:], "flags", 2, "unknownFlags")
    if verb.failed:
        add("status OK", data[:6] + b"\0\0" + data[8:], "status", 6, "unknownValue")
    if verb.id in ("request", "call"):
        add("id 0", data[:8] + bytes(8) + data[16:], "id", 8, "malformed")
    if verb.id == "request":
        add("id is a lease", data[:8] + little(LEASE, 8) + data[16:], "id", 8, "malformed")
    return made


def malformed_prefix():
    base = malformed_base(VERBS["CALL"])
    data, made = base.data, []

    def add(name, data, verb, field, offset, problem, **more):
        made.append({"name": name, "hex": data.hex(), "verb": verb, "field": field, "offset": offset,
                     "problem": problem, **more})

    add("nothing", b"", None, "version", 0, "truncated")
    for field, start, end in base.places[1:6]:
        for cut in range(start, end):
            add(f"{field.name} is cut after {cut - start} bytes", data[:cut], "CALL" if start > 1 else None,
                field.name, start, "truncated")
    for version in (0, 2, 255):
        add(f"version {version}", bytes([version]) + data[1:], None, "version", 0, "unknownValue")
    codes = {verb.code for verb in VERBS.values()}
    for code in (0x00, 0x08, 0x0F, 0x14, 0x28, 0x2F, 0x35, 0x80, 0xFF):
        if code in codes:
            sys.exit(f"0x{code:02x} is a verb now: choose another number that is none")
        add(f"verb 0x{code:02x}", data[:1] + bytes([code]) + data[2:], None, "verb", 1, "unknownValue")
    add("one byte over the limit", data, None, "header", 0, "oversized", padding=HEADER_MAXIMUM + 1 - len(data))
    add("a HELLO one byte over the limit", malformed_base(VERBS["HELLO"]).data, None, "header", 0, "oversized",
        padding=HEADER_MAXIMUM + 1 - len(malformed_base(VERBS["HELLO"]).data))
    return made


# ---- The example session --------------------------------------------------------------------------------------------

SESSION = [
    ("worker → broker", "HELLO", 0, None, ""),
    ("broker → worker", "WELCOME", 0, None, ""),
    ("worker → broker", "PROVIDE", 0, None, "It offers `echo@1.0.0` as its request 1."),
    ("broker → worker", "END", 2, None, "Request 1 is a registration from here on."),
    ("caller → broker", "CALL", 0, '{"text":"hi"}',
     "Request 1 of another session, which said HELLO before. All clocks ask for the default."),
    ("broker → worker", "CALL", 1, '{"text":"hi"}',
     "The lease is `0x800000050000002a`; 5000 ms are left; the method is idempotent; the caller is known."),
    ("worker → broker", "END", 0, '{"text":"hi"}', "The worker was quick, so it sent no ACCEPT."),
    ("broker → caller", "END", 1, '{"text":"hi"}',
     "The caller's id again; 12 µs in the broker, 340 µs at the worker of session 7."),
]


def example():
    lines = []
    for direction, name, number, payload, remark in SESSION:
        verb = VERBS[name]
        encoded = Encoded(verb, EXAMPLES[name][number])
        lines += [f"**{direction}: {name}**" + (f" {remark}" if remark else ""), "", "```hex"]
        prefix = encoded.data[:16]
        lines.append(f"{prefix[:2].hex(' ')} {prefix[2:4].hex(' ')} {prefix[4:6].hex(' ')} {prefix[6:8].hex(' ')} "
                     f"{prefix[8:].hex(' ')} ; version, verb, flags, contentType, status, id")
        for field, start, end in encoded.places[6:]:
            data = encoded.data[start:end]
            if isinstance(field, Text):
                shown = f'{field.name} "{data[2:].decode()}"'
            elif isinstance(field, List):
                shown = f"{field.name}: {int.from_bytes(data, 'little')}"
            else:
                shown = f"{field.name} {int.from_bytes(data, 'little')}"
            lines.append(f"{data.hex(' ')} ; {shown}")
        if payload is not None:
            lines.append(f"-- payload: {payload}")
        lines += ["```", ""]
    return "\n".join(lines)


# ---- Files ----------------------------------------------------------------------------------------------------------


def render(document):
    head = {key: value for key, value in document.items() if key != "vectors"}
    lines = [json.dumps(vector, ensure_ascii=True) for vector in document["vectors"]]
    text = "".join(f"{json.dumps(key)}: {json.dumps(value)}, " for key, value in head.items())
    return "{" + text + '"vectors": [\n' + ",\n".join(lines) + "\n]}\n"


def main():
    files = {}
    bad = malformed_prefix()
    for name, verb in VERBS.items():
        files[name.lower() + ".json"] = render({"verb": name, "code": verb.code, "vectors": good(verb)})
        bad += malformed(verb)
    files["malformed.json"] = render({"vectors": bad})
    if "--example" in sys.argv:
        print(example())
    elif "--check" in sys.argv:
        wrong = [name for name, text in files.items()
                 if not (OUT / name).exists() or (OUT / name).read_text(encoding="utf-8") != text]
        wrong += [path.name for path in OUT.glob("*.json") if path.name not in files]
        if example().strip() not in SPEC.read_text(encoding="utf-8"):
            wrong.append("the example session of docs/PROTOCOL.md (see --example)")
        if wrong:
            sys.exit("Not as the specification has it: " + ", ".join(sorted(wrong)) + ". Run Scripts/make-vectors.py.")
    else:
        OUT.mkdir(parents=True, exist_ok=True)
        for name, text in files.items():
            (OUT / name).write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main()
