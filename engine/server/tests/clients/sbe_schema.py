"""Decodes any SBE message by its XML schema, knowing nothing of the engine: FIX Simple Binary Encoding 1.0 as far as the
exchange's API schema uses it.

A decoded message is a dict by field name: decimals (a mantissa with the exponent that its attribute names) are strings as
the JSON API prints them, enums and sets the JSON values that the schema gives, groups lists of dicts, embedded messages dicts.
"""

import struct
import xml.etree.ElementTree as ElementTree

MBX = "{https://developers.binance.com/docs/binance-spot-api-docs}"
PRIMITIVES = {
    "int8": "b",
    "uint8": "B",
    "int16": "h",
    "uint16": "H",
    "int32": "i",
    "uint32": "I",
    "int64": "q",
    "uint64": "Q",
    "float": "f",
}
NULLS = {
    "int8": -(2**7),
    "uint8": 2**8 - 1,
    "int16": -(2**15),
    "uint16": 2**16 - 1,
    "int32": -(2**31),
    "uint32": 2**32 - 1,
    "int64": -(2**63),
    "uint64": 2**64 - 1,
}


def local(element):
    return element.tag.rsplit("}", 1)[-1]


def decimal(mantissa, exponent):
    digits = str(abs(mantissa)).rjust(-exponent + 1, "0")
    text = f"{digits[:exponent]}.{digits[exponent:]}" if exponent < 0 else digits + "0" * exponent
    return ("-" if mantissa < 0 else "") + text


class Cursor:
    def __init__(self, data):
        self.data, self.at = data, 0

    def take(self, count):
        assert self.at + count <= len(self.data), f"{count} bytes wanted at {self.at} of {len(self.data)}"
        part = self.data[self.at : self.at + count]
        self.at += count
        return part

    def number(self, primitive):
        form = "<" + PRIMITIVES[primitive]
        return struct.unpack(form, self.take(struct.calcsize(form)))[0]


class Schema:
    def __init__(self, path):
        root = ElementTree.parse(path).getroot()
        self.id, self.version = int(root.get("id")), int(root.get("version"))
        self.types = {it.get("name"): it for part in root if local(part) == "types" for it in part}
        self.messages = {int(it.get("id")): it for it in root if local(it) == "message"}

    def decode(self, data):
        """A whole message, to its last byte; its name and its content."""
        cursor = Cursor(data)
        message, content = self.message(cursor)
        assert cursor.at == len(data), f"{len(data) - cursor.at} bytes behind the end"
        return message, content

    def message(self, cursor):
        block, template, schema, version = (cursor.number("uint16") for _ in range(4))
        assert (schema, version) == (self.id, self.version), (schema, version)
        element = self.messages[template]
        return element.get("name"), self.body(cursor, element, block, {})

    def body(self, cursor, element, block, around):
        # An exponent may stand in a block around this one.
        content, raw = {}, dict(around)
        end = cursor.at + block
        for field in element:
            kind = local(field)
            if kind == "field" and field.get("presence") != "constant":
                content[field.get("name")] = self.field(cursor, field, raw)
                assert cursor.at <= end, f"{field.get('name')} is behind the end of its block"
        assert cursor.at == end, f"block of {block} where the schema has {cursor.at - end + block}"
        for field in element:
            kind = local(field)
            if kind == "group":
                content[field.get("name")] = self.group(cursor, field, raw)
            elif kind == "data":
                content[field.get("name")] = self.data(cursor, field)
        return content

    def group(self, cursor, element, around):
        dimensions = self.types[element.get("dimensionType", "groupSizeEncoding")]
        block, count = (cursor.number(part.get("primitiveType")) for part in dimensions)
        return [self.body(cursor, element, block, around) for _ in range(count)]

    def data(self, cursor, element):
        composite = element.get("type")
        length = cursor.number(self.types[composite][0].get("primitiveType"))
        data = cursor.take(length)
        if "essageData" in composite:
            return self.decode(data)[1] if data else None
        return data.decode("utf-8")

    def field(self, cursor, field, raw):
        definition = self.types.get(field.get("type"))
        if definition is None:
            value = cursor.number(field.get("type"))
            return None if value != value else value
        kind = local(definition)
        if kind in ("enum", "set"):
            return self.choice(cursor, definition, kind, field)
        if definition.get("length") == "16":
            value, null = int.from_bytes(cursor.take(16), "little", signed=True), -(2**127)
        else:
            primitive = definition.get("primitiveType")
            value, null = cursor.number(primitive), NULLS[primitive]
        raw[field.get("name")] = value
        exponent = field.get(MBX + "exponent")
        if value == null:
            assert field.get("presence") == "optional", f"{field.get('name')} may not be missing"
            # What JSON says of it, where it does.
            default = field.get(MBX + "jsonDefaultValue")
            if default is None:
                return None
            value = int(default)
        return value if exponent is None else decimal(value, raw[exponent])

    def choice(self, cursor, definition, kind, field):
        value = cursor.number(definition.get("encodingType"))
        if kind == "set":
            return [it.get(MBX + "jsonValue") for it in definition if value >> int(it.text) & 1]
        if value == NULLS[definition.get("encodingType")]:
            assert field.get("presence") == "optional", field.get("name")
            return None
        if definition.get("name") == "boolEnum":
            assert value in (0, 1), value
            return value == 1
        names = {int(it.text): it.get(MBX + "jsonValue") for it in definition}
        return names[value]
