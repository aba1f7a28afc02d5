#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Writes tests/data/json_cases.txt: byte strings, and whether each is a JSON
object or array to Python's json module.

    python make_json_cases.py > tests/data/json_cases.txt

A line is 1 or 0 and the bytes in hexadecimal. Beyond the module's own verdict:
no NaN or Infinity (its extension), and no surrogates without their half, which
it lets pass but no UTF-8 can hold. White space is not varied much: its limit
is our own, and tested where it is defined.
"""
import json
import random

VALUES = [
    "0", "-0", "1", "-1", "10", "123456789012345678901234567890", "0.5",
    "-0.25", "1e5", "1E+5", "1e-5", "1.5E10", "0e0", "0.0e-0", "true", "false",
    "null", '""', '"a"', r'"\""', r'"\\"', r'"\/\b\f\n\r\t"', r'"\u0000"',
    r'"\u00e9"', r'"\uABCD"', r'"\uabcd"', r'"\ud83d\ude00"', r'"\uDBFF\uDFFF"',
    r'"a\\\"b"', '"\x7f"', '"é"', '"日本語"', '"\U0001f600"', '"\ufeff"',
    '"\u2028"', '"\ufffd"', '"\U0010ffff"', "[]", "{}", '{"a":1}', "[1,2]",
    '[[],{}]', '{"":{}}', '{"a":1,"a":2}', r'{"\u0061":[]}', '" "', '"{"',
]
WRONG = [
    "", " ", "01", "-01", "+1", "1.", ".5", "-", "-a", "1e", "1e+", "1.e5",
    "0x10", "1_0", "1 2", "1a", "00", "--1", "1.5.5", "1e5.5", "1e5e5", "- 1",
    "True", "tru", "truee", "nul", "nulll", "NaN", "Infinity", "-Infinity",
    "undefined", "'a'", '"a', '"\t"', '"\n"', '"\x00"', '"\x1f"', r'"\a"',
    r'"\x41"', r'"\u"', r'"\u12"', r'"\u123"', r'"\u123g"', r'"\U0041"',
    r'"\ud800"', r'"\udc00"', r'"\ud83dx"', r'"\ud83d\n"', r'"\ud83d\u0041"',
    r'"\ud83d\ud83d"', r'"\ude00\ud83d"', r'"\ud83d" "\ude00"', '"a"b', '"\\',
    '"\\"', "[", "]", "{", "}", "[1", "[1,", "[1,]", "[,1]", "[1,,2]", "[1 2]",
    '{"a"}', '{"a":}', '{"a":1,}', '{,"a":1}', '{"a" 1}', '{a:1}', "{1:1}",
    "{'a':1}", '{"a":1 "b":2}', '{"a"::1}', "[}", "{]", "[1}", '{"a":1]',
    "[]]", "{}}", "[1]x", "//", "/**/", "[1]//", "\ufeff[]", "\xa0[]", "[\x0b]",
    "[\x0c]", "[\u2028]", "[1\x00]", "#", "[1;2]", "<a>", "None",
]
BYTES = [
    b"\xff", b"\xc0\x80", b"\xc1\xbf", b"\xe0\x80\x80", b"\xe0\x9f\xbf",
    b"\xed\xa0\x80", b"\xed\xbf\xbf", b"\xf0\x80\x80\x80", b"\xf0\x8f\xbf\xbf",
    b"\xf4\x90\x80\x80", b"\xf5\x80\x80\x80", b"\x80", b"\xbf", b"\xc3",
    b"\xe2\x82", b"\xf0\x9f\x98", b"\xe2\x28\xa1", b"\xc3\x28", b"\xfe\xfe",
    b"\xc2\x80", b"\xdf\xbf", b"\xe0\xa0\x80", b"\xed\x9f\xbf", b"\xee\x80\x80",
    b"\xef\xbf\xbf", b"\xf0\x90\x80\x80", b"\xf4\x8f\xbf\xbf",
]


def refuse(name):
    raise ValueError(name)


def is_json(data):
    try:
        value = json.loads(data.decode("utf-8"), parse_constant=refuse,
                           parse_int=str, parse_float=str)
        json.dumps(value, ensure_ascii=False).encode("utf-8")
    except (ValueError, UnicodeError, RecursionError):
        return False
    return isinstance(value, (dict, list))


def some_value(rng, depth):
    kind = rng.random()
    if depth > 3 or kind < 0.4:
        return rng.choice(VALUES)
    gap = rng.choice(["", "", " ", "\n"])
    items = [some_value(rng, depth + 1) for _ in range(rng.randrange(4))]
    if kind < 0.7:
        return "[" + gap + ("," + gap).join(items) + "]"
    return "{" + gap + ("," + gap).join(
        f'{rng.choice([v for v in VALUES if v[0] == chr(34)])}:{gap}{i}'
        for i in items) + gap + "}"


def mutated(rng, data):
    data = bytearray(data)
    for _ in range(rng.choice([1, 1, 2, 3])):
        at = rng.randrange(len(data) + 1)
        byte = rng.choice(b'{}[]",:\\u0123456789abcdefDFEe+-.tn \n/' + bytes(
            [rng.randrange(256)]))
        what = rng.randrange(4)
        if what == 0 or at == len(data):
            data.insert(at, byte)
        elif what == 1:
            del data[at]
        elif what == 2:
            data[at] = byte
        else:
            other = rng.randrange(len(data))
            data[at], data[other] = data[other], data[at]
    return bytes(data)


def main():
    rng = random.Random(8259)
    cases = []
    for value in VALUES + WRONG:
        for text in (value, f"[{value}]", f'{{"k":{value}}}', f"[0,{value},1]",
                     f" [ {value} ] ", f'{{"k":{value},"l":[]}}'):
            cases.append(text.encode("utf-8", "surrogatepass"))
    for raw in BYTES:
        cases += [raw, b'["' + raw + b'"]', b'{"' + raw + b'":0}',
                  b'["' + raw + b'x"]', b"[" + raw + b"]"]
    for depth in (2, 63, 64):
        cases += [b"[" * depth + b"]" * depth,
                  b'{"a":' * depth + b"1" + b"}" * depth]
    for _ in range(250):
        value = some_value(rng, 0)
        text = (value if value[0] in "[{" else f"[{value}]").encode()
        if len(text) > 120:
            continue
        cases.append(text)
        cases += [mutated(rng, text) for _ in range(8)]
    for data in dict.fromkeys(cases):
        print(int(is_json(data)), data.hex())


if __name__ == "__main__":
    main()
