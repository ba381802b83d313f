# SPDX-License-Identifier: MIT
"""Random Protobuf messages of any descriptor, for comparisons with other implementations."""

import math

from google.protobuf.descriptor import FieldDescriptor as F

EDGES = {
    F.CPPTYPE_INT32: (0, 1, -1, 127, 128, 2**31 - 1, -(2**31)),
    F.CPPTYPE_INT64: (0, 1, -1, 300, 2**53 + 1, 2**63 - 1, -(2**63)),
    F.CPPTYPE_UINT32: (0, 1, 128, 2**32 - 1),
    F.CPPTYPE_UINT64: (0, 1, 2**63, 2**64 - 1),
    F.CPPTYPE_DOUBLE: (0.0, -0.0, 1.0, -1.5, 1e300, 5e-324, math.inf, -math.inf, math.nan, 0.1),
    F.CPPTYPE_FLOAT: (0.0, -0.0, 1.0, -1.5, 2.0**100, 2.0**-149, math.inf, -math.inf, math.nan, 0.5),
    F.CPPTYPE_BOOL: (False, True),
}
TEXTS = ("", "a", "ä€😀", 'quote " and \\ and \n', "x" * 200, "\x00\x7f")
BYTES = (b"", b"\x00", b"\xff\xfe", bytes(range(256)))


class Random:
    """random: a random.Random. any_of: classes of messages that an Any may hold."""

    def __init__(self, random, any_of=()):
        self.random, self.any_of = random, any_of

    def message(self, kind, depth=4):
        message = kind()
        self.fill(message, depth)
        return message

    def scalar(self, field):
        if field.cpp_type == F.CPPTYPE_ENUM:
            numbers = [value.number for value in field.enum_type.values]
            others = [] if field.enum_type.is_closed or len(numbers) == 1 else [77]  # NullValue has but one in JSON
            return self.random.choice(numbers + others)
        if field.type == F.TYPE_BYTES:
            return self.random.choice(BYTES)
        if field.cpp_type == F.CPPTYPE_STRING:
            return self.random.choice(TEXTS)
        return self.random.choice(EDGES[field.cpp_type])

    def fill(self, message, depth):
        name = message.DESCRIPTOR.full_name
        special = getattr(self, "fill_" + name.rpartition(".")[2].lower(), None)
        if name.startswith("google.protobuf.") and special:
            special(message, depth)
            return
        for field in message.DESCRIPTOR.fields:
            if self.random.random() < 0.6 or field.is_required:
                self.set(message, field, depth)

    def set(self, message, field, depth):
        value = getattr(message, field.name)
        if field.message_type and field.message_type.GetOptions().map_entry:
            self.set_map(value, field, depth)
        elif field.is_repeated:
            for _ in range(self.random.randrange(4)):
                if not field.message_type:
                    value.append(self.scalar(field))
                elif depth > 0:
                    self.fill(value.add(), depth - 1)
        elif not field.message_type:
            setattr(message, field.name, self.scalar(field))
        elif depth > 0:
            value.SetInParent()
            self.fill(value, depth - 1)

    def set_map(self, entries, field, depth):
        key, value = field.message_type.fields_by_name["key"], field.message_type.fields_by_name["value"]
        for _ in range(self.random.randrange(4)):
            if not value.message_type:
                entries[self.scalar(key)] = self.scalar(value)
            elif depth > 0:
                self.fill(entries[self.scalar(key)], depth - 1)

    # -- google.protobuf: only what JSON has a form for --
    def fill_timestamp(self, message, _):
        message.seconds = self.random.choice((0, 1, -62135596800, 253402300799, 1778329800))
        message.nanos = self.random.choice((0, 1, 999999999, 250000000, 1000))

    def fill_duration(self, message, _):
        sign = self.random.choice((1, -1))
        message.seconds = sign * self.random.choice((0, 1, 315576000000))
        message.nanos = sign * self.random.choice((0, 1, 500000000))

    def fill_fieldmask(self, message, _):
        message.paths.extend(self.random.choice((["a"], ["a.b_c", "d"], [])))

    def fill_value(self, message, depth):
        kind = self.random.randrange(6 if depth > 0 else 4)
        if kind == 0:
            message.null_value = 0
        elif kind == 1:
            message.number_value = self.random.choice((0.0, -1.5, 1e300, 3.0, 2.0**60))
        elif kind == 2:
            message.string_value = self.random.choice(TEXTS)
        elif kind == 3:
            message.bool_value = self.random.choice((False, True))
        elif kind == 4:
            message.struct_value.SetInParent()
            self.fill_struct(message.struct_value, depth - 1)
        else:
            message.list_value.SetInParent()
            self.fill_listvalue(message.list_value, depth - 1)

    def fill_struct(self, message, depth):
        for _ in range(self.random.randrange(3)):
            self.fill_value(message.fields[self.random.choice(TEXTS)], depth)

    def fill_listvalue(self, message, depth):
        for _ in range(self.random.randrange(3)):
            self.fill_value(message.values.add(), depth)

    def fill_any(self, message, depth):
        if self.any_of and depth > 0:
            message.Pack(self.message(self.random.choice(self.any_of), depth - 1))
