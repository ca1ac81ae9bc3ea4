"""Apache DataSketches, judging AdTally's HyperLogLog sketches in both directions.

    golden DIR     writes the small set of sketches that the Rust tests read
    write DIR      writes every sketch that AdTally has to be able to read
    check DIR      reads what AdTally wrote beside them, and compares; its estimates are
                   in ours_estimates.tsv, a name and a number a line
    self-test DIR  shows that `check` sees faults, and that this file reads the
                   format right; DIR is used for scratch

A sketch holds the users 1..n of a family: the integers, or the strings
"user-1".."user-n". AdTally's are named ours_FAMILY_pLGK_nN.sk, its union of
union_a_pLGK.sk and union_b_pLGK.sk, if it has one, ours_union_pLGK.sk, and that of
mixed_many_pLGK.sk with mixed_few.sk and mixed_nobody.sk ours_mixed_pLGK.sk.
"""

import functools
import platform
import struct
import sys
from dataclasses import dataclass, field
from importlib import metadata
from pathlib import Path

# Python looks for imports beside the script first, and this one has the name of
# the package.
HERE = Path(__file__).resolve().parent
sys.path[:] = [entry for entry in sys.path if Path(entry).resolve() != HERE]

from datasketches import hll_sketch, hll_union, tgt_hll_type  # noqa: E402

PRECISIONS = (4, 8, 11, 12, 14, 18)
SIZES = (0, 1, 7, 8, 100, 1000, 100_000)
TYPES = {4: tgt_hll_type.HLL_4, 6: tgt_hll_type.HLL_6, 8: tgt_hll_type.HLL_8}
FORMS = ("compact", "updatable")
FAMILIES = {"integers": int, "strings": "user-{}".format}

# The two halves of every union: AdTally gets them as HLL_4 and HLL_6.
UNION_A, UNION_B, UNION = range(1, 1001), range(501, 100_001), range(1, 100_001)

# Coupons of the lowest precision: they take none from the registers they are united with.
FEW = range(200_001, 200_008)

# Eight users to leave the LIST of lgK 4, and eight that have values from 15 up, for
# seven of the sixteen registers. Some registers stay 0, and curMin with them.
EXCEPTIONAL = [*range(1, 9), 14441, 17853, 24321, 28438, 64359, 79910, 109103, 157230]


# --- Sketches made by the package


def sketch_of(family, users, lg_k, bits=8):
    sketch = hll_sketch(lg_k, TYPES[bits])
    for user in users:
        sketch.update(FAMILIES[family](user))
    return sketch


@functools.lru_cache(maxsize=None)
def first_users(family, n, lg_k):
    return sketch_of(family, range(1, n + 1), lg_k)


def union_of(*sketches, bits=8):
    union = hll_union(sketches[0].lg_config_k)
    for sketch in sketches:
        union.update(sketch)
    return union.get_result(TYPES[bits])


def out_of_order(sketch, bits=8):
    """The same users, with an estimate from the registers: HIP only survives one stream.

    A union keeps the HIP of the first dense sketch it gets, hence twice."""
    return union_of(sketch, sketch, bits=bits)


def serialize(sketch, form):
    return sketch.serialize_compact() if form == "compact" else sketch.serialize_updatable()


def file_name(family, n, lg_k, bits, form):
    family = "" if family == "integers" else f"_{family}"
    return f"hll{bits}_p{lg_k}_n{n}{family}_{form}.sk"


def ours(family, n, lg_k):
    return f"ours_{family}_p{lg_k}_n{n}.sk"


# --- The bytes, read without the package
#
#   0 preamble ints   LIST 2, SET 3, HLL 10       4 lg of the coupon or auxiliary array
#   1 version         1                           5 flags
#   2 family          7                           6 coupons of a LIST, curMin of an HLL
#   3 lgK             4 to 21                     7 mode | target type << 2
#
#   LIST  8  coupons: as many as byte 6 says (compact), or 8, unused ones 0
#   SET   8  u32 count
#        12  coupons: count of them (compact), or 1 << lgArr, a hash table, unused ones 0
#   HLL   8  f64 HIP, 16 f64 KxQ0, 24 f64 KxQ1, 32 u32 registers at curMin, 36 u32 exceptions
#        40  registers: HLL_4 k/2 bytes, HLL_6 3k/4 + 1, HLL_8 k
#            exceptions of an HLL_4: u32 value << 26 | slot, like the coupons of a SET

LIST, SET, HLL = "LIST", "SET", "HLL"
MODES = {0: (LIST, 2), 1: (SET, 3), 2: (HLL, 10)}
EMPTY, COMPACT, OUT_OF_ORDER = 4, 8, 16
EXCEPTION = 15

# lg of the auxiliary array that an HLL_4 starts with, by lgK.
LG_AUXILIARY = (0, 2, 2, 2, 2, 2, 2, 3, 3, 3, 4, 4, 5, 5, 6, 7, 8, 9, 10, 11, 12, 13)


class Malformed(Exception):
    pass


def require(condition, message):
    if not condition:
        raise Malformed(message)


@dataclass
class Image:
    lg_k: int
    bits: int
    mode: str
    lg_array: int
    flags: int
    byte_6: int
    # The array as stored, and what is in it: coupons, or the exceptions of an HLL_4.
    array: list = field(default_factory=list)
    coupons: frozenset = frozenset()
    registers: bytes = b""
    kxq: list = field(default_factory=list)
    at_minimum: int = 0

    @property
    def compact(self):
        return bool(self.flags & COMPACT)


def entries(data, start, stored, count, what):
    """The array of `stored` u32 that ends the sketch, and the `count` of them in use."""
    end = start + 4 * stored
    require(len(data) == end, f"{len(data)} bytes, expected {end}")
    array = list(struct.unpack_from(f"<{stored}I", data, start))
    used = frozenset(array) - {0}
    require(len(used) == count, f"{len(used)} different {what}, and a count of {count}")
    return array, used


def parse(data):
    require(len(data) >= 8, f"{len(data)} bytes, expected at least 8")
    preamble, version, family, lg_k, lg_array, flags, byte_6, mode_byte = data[:8]
    require(version == 1 and family == 7, f"version {version} of family {family}, expected 1 of 7")
    require(4 <= lg_k <= 21, f"lgK {lg_k}")
    require(mode_byte & 3 in MODES and mode_byte >> 2 in (0, 1, 2), f"mode byte {mode_byte}")
    mode, expected_preamble = MODES[mode_byte & 3]
    bits = (4, 6, 8)[mode_byte >> 2]
    require(preamble == expected_preamble, f"{preamble} preamble ints for mode {mode}")
    image = Image(lg_k, bits, mode, lg_array, flags, byte_6)

    if mode == LIST:
        stored = byte_6 if image.compact else 8
        require(byte_6 < 8, f"{byte_6} coupons in a LIST")
        image.array, image.coupons = entries(data, 8, stored, byte_6, "coupons")
        require(not any(image.array[byte_6:]), "a LIST that does not begin with its coupons")
    elif mode == SET:
        require(len(data) >= 12, f"{len(data)} bytes, expected at least 12")
        (count,) = struct.unpack_from("<I", data, 8)
        stored = count if image.compact else 1 << lg_array
        image.array, image.coupons = entries(data, 12, stored, count, "coupons")
    else:
        parse_registers(image, data)
    require(bool(flags & EMPTY) == is_empty(image), f"empty flag in {flags}")
    return image


def is_empty(image):
    return not image.coupons and not any(image.registers)


def parse_registers(image, data):
    k = 1 << image.lg_k
    size = {4: k // 2, 6: k * 3 // 4 + 1, 8: k}[image.bits]
    require(len(data) >= 40 + size, f"{len(data)} bytes, expected at least {40 + size}")
    *image.kxq, image.at_minimum, exceptions = struct.unpack_from("<2d2I", data, 16)
    packed = data[40 : 40 + size]

    stored = exceptions
    if image.bits == 4 and not image.compact:
        stored = 1 << (image.lg_array or LG_AUXILIARY[image.lg_k])
    image.array, pairs = entries(data, 40 + size, stored, exceptions, "exceptions")

    if image.bits == 8:
        image.registers = packed
    elif image.bits == 6:
        # The last byte is only there to be read together with the one before.
        whole = int.from_bytes(packed[:-1], "little")
        require(packed[-1] == 0, f"last byte of an HLL_6 is {packed[-1]}")
        image.registers = six_bits(packed, k)
        require(whole >> (6 * k) == 0, "bits after the registers")
    else:
        nibbles = [nibble for byte in packed for nibble in (byte & 15, byte >> 4)]
        values = {pair & 0x3FFFFFF: pair >> 26 for pair in pairs}
        slots = {slot for slot, nibble in enumerate(nibbles) if nibble == EXCEPTION}
        require(values.keys() == slots, "exceptions that differ from the registers set to 15")
        image.registers = bytes(
            values[slot] if nibble == EXCEPTION else nibble + image.byte_6
            for slot, nibble in enumerate(nibbles)
        )


def six_bits(packed, k):
    return bytes(
        int.from_bytes(packed[slot * 6 // 8 : slot * 6 // 8 + 2], "little") >> (slot * 6 % 8) & 63
        for slot in range(k)
    )


def registers_of(coupons, lg_k):
    registers = bytearray(1 << lg_k)
    for coupon in coupons:
        slot = coupon & (len(registers) - 1)
        registers[slot] = max(registers[slot], coupon >> 26)
    return bytes(registers)


def content_difference(got, expected):
    """The first difference in what two sketches have seen, or None."""
    if got.mode != HLL and expected.mode != HLL:
        different = sorted(got.coupons ^ expected.coupons)
        if different:
            side = "unexpected" if different[0] in got.coupons else "missing"
            return f"{side} coupon {different[0]:#010x}, {len(different)} in all"
        return None
    got, expected = (
        image.registers if image.mode == HLL else registers_of(image.coupons, image.lg_k)
        for image in (got, expected)
    )
    if len(got) != len(expected):
        return f"{len(got)} registers, expected {len(expected)}"
    for slot, (one, other) in enumerate(zip(got, expected)):
        if one != other:
            return f"register {slot} is {one}, expected {other}"
    return None


# --- write and golden


def write_matrix(folder):
    for family in FAMILIES:
        for lg_k in PRECISIONS:
            for n in SIZES:
                for bits in TYPES:
                    sketch = sketch_of(family, range(1, n + 1), lg_k, bits)
                    for form in FORMS:
                        name = file_name(family, n, lg_k, bits, form)
                        (folder / name).write_bytes(serialize(sketch, form))
    for lg_k in PRECISIONS:
        for name, users, bits in (("a", UNION_A, 4), ("b", UNION_B, 6)):
            sketch = sketch_of("integers", users, lg_k, bits)
            (folder / f"union_{name}_p{lg_k}.sk").write_bytes(sketch.serialize_compact())
        (folder / f"mixed_many_p{lg_k}.sk").write_bytes(mixed_parts(lg_k)[0].serialize_compact())
    for name, sketch in zip(("few", "nobody"), mixed_parts(4)[1:]):
        (folder / f"mixed_{name}.sk").write_bytes(sketch.serialize_compact())


def mixed_parts(lg_k):
    return first_users("integers", UNION[-1], lg_k), sketch_of("integers", FEW, 4), hll_sketch(4, TYPES[8])


def is_golden(lg_k, n, bits, form, mode):
    """What the repository has room for: forms that differ in more than header bytes."""
    if lg_k == 18 and n == 100_000:
        return bits == 4 and form == "compact"
    if form == "updatable" and lg_k not in (8, 12):
        return False
    return mode == HLL or bits == 8 or lg_k == 12


def golden_sketches():
    """(name, users, serialized sketch) of everything in golden/"""
    for lg_k in PRECISIONS:
        for n in SIZES:
            for bits in TYPES:
                sketch = sketch_of("integers", range(1, n + 1), lg_k, bits)
                for form in FORMS:
                    data = serialize(sketch, form)
                    if is_golden(lg_k, n, bits, form, parse(data).mode):
                        yield file_name("integers", n, lg_k, bits, form), range(1, n + 1), data

    for n in (100, 100_000):
        name = file_name("strings", n, 12, 8, "compact")
        yield name, range(1, n + 1), first_users("strings", n, 12).serialize_compact()

    parts = [sketch_of("integers", users, 12) for users in (UNION_A, range(501, 1501))]
    name = "union_p12_1_1000_501_1500_compact.sk"
    yield name, range(1, 1501), union_of(*parts).serialize_compact()

    yield from edge_cases()


def edge_cases():
    # Seven exceptions, which make the first auxiliary array, of 4, grow twice.
    sketch = sketch_of("integers", EXCEPTIONAL, 4, 4)
    for form in FORMS:
        yield f"edge_hll4_p4_exceptions_{form}.sk", EXCEPTIONAL, serialize(sketch, form)

    # Registers from the start, so empty without being a LIST. Flag 32.
    for bits in TYPES:
        for form in FORMS:
            data = serialize(hll_sketch(4, TYPES[bits], True), form)
            yield f"edge_hll{bits}_p4_full_size_{form}.sk", range(0), data

    users = range(1, 1001)
    for bits in (4, 6):
        data = out_of_order(first_users("integers", 1000, 8), bits).serialize_compact()
        yield f"edge_hll{bits}_p8_out_of_order_compact.sk", users, data

    # A union that was asked for its estimate counts from curMin even as HLL_8,
    # whose registers never are less a curMin.
    union = hll_union(8)
    for _ in range(2):
        union.update(first_users("integers", 100_000, 8))
    union.get_estimate()
    data = union.get_result(TYPES[8]).serialize_compact()
    yield "edge_hll8_p8_cur_min_compact.sk", range(1, 100_001), data

    # The same, and users after that: they raise registers, and nobody counts again.
    union = hll_union(8)
    for users in (range(1, 2001), range(1001, 3001)):
        union.update(sketch_of("integers", users, 8))
    union.get_estimate()
    union.update(sketch_of("integers", range(3001, 9001), 8))
    data = union.get_result(TYPES[8]).serialize_compact()
    require(parse(data).byte_6 < min(parse(data).registers), "curMin is not out of date")
    yield "edge_hll8_p8_stale_count_compact.sk", range(1, 9001), data


README = """\
# Sketches made by Apache DataSketches

{count} HyperLogLog sketches, {size:,} bytes, that the tests decode and compare.
They were made by the package `datasketches` {datasketches} (with `numpy` {numpy}, Python
{python}), by running in the root of the repository

    python3 -m venv _build/judges
    _build/judges/bin/pip install -r test/judges/requirements.txt
    _build/judges/bin/python test/judges/datasketches.py golden native/ad_tally_core/tests/golden

which writes the same bytes again, this file included except for the version of
Python, after it has compared each sketch with coupons computed without the package.

| name | what |
| --- | --- |
| `hllT_pP_nN_FORM.sk` | target type HLL_T, lgK P, the users 1 to N, each 8 little-endian bytes, in order |
| `hll8_pP_nN_strings_FORM.sk` | the users are the strings user-1 to user-N |
| `union_p12_1_1000_501_1500_compact.sk` | HLL_8 result of a union: the users 1 to 1000, and 501 to 1500 |
| `edge_hll4_p4_exceptions_FORM.sk` | the users {exceptional}: seven exceptions, for which the auxiliary array has grown twice |
| `edge_hllT_p4_full_size_FORM.sk` | no users, and registers nevertheless (flag 32) |
| `edge_hllT_p8_out_of_order_compact.sk` | the users 1 to 1000, from a union of two equal sketches |
| `edge_hll8_p8_cur_min_compact.sk` | the users 1 to 100000, from a union that had given an estimate: curMin is not 0, and the registers are whole all the same |
| `edge_hll8_p8_stale_count_compact.sk` | the users 1 to 9000, most of them after a union had given an estimate: curMin and the number of registers there are older than the registers |

FORM is `compact` or `updatable`, the two that the package writes. Where coupons
are stored, target types and forms differ in header bytes and unused slots only,
so all of them are here only for lgK 12. Updatable ones are here for lgK 8 and 12.

Licence: these are data, made by running Apache DataSketches, which is under the
Apache License 2.0. No part of that software is in them.
"""


def write_golden(folder):
    for old in folder.glob("*.sk"):
        old.unlink()
    count = size = 0
    for name, users, data in golden_sketches():
        verify(name, data, "strings" if "_strings_" in name else "integers", users)
        (folder / name).write_bytes(data)
        count, size = count + 1, size + len(data)
    readme = README.format(
        count=count,
        size=size,
        datasketches=metadata.version("datasketches"),
        numpy=metadata.version("numpy"),
        python=platform.python_version(),
        exceptional=", ".join(map(str, EXCEPTIONAL)),
    )
    (folder / "README.md").write_text(readme, encoding="utf-8")
    print(f"{count} sketches, {size} bytes")


# --- check


def first_difference(data, expected):
    """What is wrong with a sketch by AdTally, given the package's own, or None."""
    try:
        image = parse(data)
        read = hll_sketch.deserialize(data)
        as_read = parse(read.serialize_compact())
    except Malformed as malformed:
        return str(malformed)
    except Exception as refusal:  # The package raises whatever C++ does.
        return f"refused: {refusal}"

    reference = out_of_order(expected)
    own = parse(expected.serialize_compact())
    own_unordered = parse(reference.serialize_compact())
    if (image.lg_k, image.bits, image.mode) != (own.lg_k, own.bits, own.mode):
        return (
            f"HLL_{image.bits} of lgK {image.lg_k} as {image.mode}, "
            f"expected HLL_{own.bits} of lgK {own.lg_k} as {own.mode}"
        )
    for by, seen in (("as written", image), ("as read by the package", as_read)):
        difference = content_difference(seen, own)
        if difference:
            return f"{difference}, {by}"
    if image.mode == HLL and not image.flags & OUT_OF_ORDER:
        return f"registers without the out-of-order flag: flags {image.flags}"
    if image.kxq != own_unordered.kxq:
        return f"KxQ0 and KxQ1 are {image.kxq}, expected {own_unordered.kxq}"
    for what, answers in (
        ("estimate", [sketch.get_estimate() for sketch in (read, reference)]),
        ("lower bound", [sketch.get_lower_bound(2) for sketch in (read, reference)]),
        ("upper bound", [sketch.get_upper_bound(2) for sketch in (read, reference)]),
    ):
        if answers[0] != answers[1]:
            return f"{what} is {answers[0]}, expected {answers[1]}"
    return None


def first_union_difference(data, family, n, lg_k):
    """What is wrong with unions of a sketch by AdTally and an overlapping one, or None."""
    users = range(n // 2 + 1, n + n // 2 + 11)
    read, other = hll_sketch.deserialize(data), later_users(family, users, lg_k)
    direct = parse(first_users(family, users[-1], lg_k).serialize_compact())
    for what, parts in (("with", (read, other)), ("into", (other, read))):
        difference = content_difference(parse(union_of(*parts).serialize_compact()), direct)
        if difference:
            return f"{difference}, in its union {what} {users[0]}..{users[-1]}"
    return None


@functools.lru_cache(maxsize=None)
def later_users(family, users, lg_k):
    return sketch_of(family, users, lg_k)


def faults_in(folder):
    """(sketches read, unions read, ["FILE: first difference"])"""
    read, unions, faults = 0, 0, []
    for family in FAMILIES:
        for lg_k in PRECISIONS:
            for n in SIZES:
                path = folder / ours(family, n, lg_k)
                if not path.exists():
                    faults.append(f"{path.name}: not there")
                    continue
                read, data = read + 1, path.read_bytes()
                fault = first_difference(data, first_users(family, n, lg_k))
                fault = fault or first_union_difference(data, family, n, lg_k)
                if fault:
                    faults.append(f"{path.name}: {fault}")
    for lg_k in PRECISIONS:
        path = folder / f"ours_union_p{lg_k}.sk"
        if path.exists():
            unions += 1
            fault = first_difference(path.read_bytes(), first_users("integers", UNION[-1], lg_k))
            if fault:
                faults.append(f"{path.name}: {fault}")
        path = folder / f"ours_mixed_p{lg_k}.sk"
        if path.exists():
            unions += 1
            theirs = parse(union_of(*mixed_parts(lg_k)).serialize_compact())
            fault = content_difference(parse(path.read_bytes()), theirs)
            if fault:
                faults.append(f"{path.name}: {fault}")
    return read, unions, faults


def estimate_faults(folder):
    """["FILE: what AdTally says too far from what the package says of the same bytes"]

    Both estimate from the same registers, by different formulas that are right to
    1.04 / sqrt(m), and differ by less: 0.28 of that at 16 registers, and less at more.
    Coupons are counted, by both."""
    faults = []
    for line in (folder / "ours_estimates.tsv").read_text().splitlines():
        name, ours = line.split("\t")
        data = (folder / name).read_bytes()
        image, theirs = parse(data), hll_sketch.deserialize(data).get_estimate()
        allowed = 0.4 * 1.04 / (1 << image.lg_k) ** 0.5 if image.mode == HLL else 1e-6
        if abs(float(ours) - theirs) > allowed * theirs:
            faults.append(f"{name}: estimate is {ours}, the package says {theirs}")
    return faults


def check(folder):
    read, unions, faults = faults_in(folder)
    faults += estimate_faults(folder)
    if faults:
        sys.exit("\n".join(faults))
    version = metadata.version("datasketches")
    also = f", {unions} unions as well" if unions else ""
    print(f"datasketches {version}: {read} sketches of AdTally read, coupons and registers equal{also}")


# --- self-test: the format and the hash once more, without the package


def murmur3_x64_128(data, seed):
    mask = (1 << 64) - 1
    c1, c2 = 0x87C37B91114253D5, 0x4CF5AD432745937F

    def rotate(x, by):
        return (x << by | x >> (64 - by)) & mask

    def mix_1(k):
        return rotate(k * c1 & mask, 31) * c2 & mask

    def mix_2(k):
        return rotate(k * c2 & mask, 33) * c1 & mask

    def finish(h):
        h = (h ^ h >> 33) * 0xFF51AFD7ED558CCD & mask
        h = (h ^ h >> 33) * 0xC4CEB9FE1A85EC53 & mask
        return h ^ h >> 33

    h1 = h2 = seed
    whole = len(data) // 16 * 16
    for start in range(0, whole, 16):
        k1, k2 = struct.unpack_from("<2Q", data, start)
        h1 = ((rotate(h1 ^ mix_1(k1), 27) + h2) * 5 + 0x52DCE729) & mask
        h2 = ((rotate(h2 ^ mix_2(k2), 31) + h1) * 5 + 0x38495AB5) & mask
    tail = data[whole:]
    h2 ^= mix_2(int.from_bytes(tail[8:], "little"))
    h1 ^= mix_1(int.from_bytes(tail[:8], "little"))

    h1, h2 = h1 ^ len(data), h2 ^ len(data)
    h1 = (h1 + h2) & mask
    h2 = (h2 + h1) & mask
    h1, h2 = finish(h1), finish(h2)
    h1 = (h1 + h2) & mask
    return h1, (h2 + h1) & mask


def coupon(data):
    h1, h2 = murmur3_x64_128(data, 9001)
    return (min(64 - h2.bit_length(), 62) + 1) << 26 | h1 & 0x3FFFFFF


@functools.lru_cache(maxsize=None)
def user_coupon(family, user):
    if family == "integers":
        return coupon(struct.pack("<q", user))
    return coupon(FAMILIES[family](user).encode())


def verify(name, data, family, users):
    """Compares every field of a sketch by the package but HIP with our own computation."""
    image = parse(data)
    coupons = frozenset(user_coupon(family, user) for user in users)
    registers = registers_of(coupons, image.lg_k)
    require(image.compact == ("_updatable" not in name), f"{name}: flags {image.flags}")
    if image.mode == HLL:
        require(image.registers == registers, f"{name}: registers")
        kxq = [sum(2.0**-r for r in registers if (r >= 32) == high) for high in (False, True)]
        require(image.kxq == kxq, f"{name}: KxQ {image.kxq}, expected {kxq}")
        least = min(registers) if image.bits == 4 or "cur_min" in name else 0
        minimum = (least, registers.count(least))
        counted = (image.byte_6, image.at_minimum)
        require("stale" in name or counted == minimum, f"{name}: curMin, expected {minimum}")
        stride_of, key = image.lg_array, (1 << image.lg_k) - 1
    else:
        require(image.coupons == coupons, f"{name}: coupons")
        require(image.lg_array == (3 if image.mode == LIST else lg_set(len(coupons))), f"{name}: lgArr")
        stride_of, key = image.lg_array, 0x3FFFFFF
    if not image.compact and image.mode != LIST:
        verify_probes(name, image.array, stride_of, key)


def lg_set(count):
    lg = 5
    while 4 * count > 3 << lg:
        lg += 1
    return lg


def verify_probes(name, array, lg, key):
    """Every entry of the hash table is where a reader that probes for it looks."""
    for entry in filter(None, array):
        probe, stride = entry & (len(array) - 1), (entry & key) >> lg | 1
        while array[probe] != entry:
            require(array[probe] != 0, f"{name}: {entry:#010x} is not found by probing")
            probe = (probe + stride) % len(array)


def flip(position, bit=1):
    def change(data):
        data[position] ^= bit

    return change


def clear(start, length):
    def change(data):
        data[start : start + length] = bytes(length)

    return change


FAULTS = [
    ("a coupon of a LIST", "integers", 7, 12, flip(8 + 4 * 6)),
    ("a coupon of a SET", "strings", 100, 12, flip(12 + 4 * 40 + 3, 4)),
    ("the count of a SET", "strings", 100, 14, flip(8)),
    ("a register, up", "integers", 1000, 12, flip(40 + 4095, 32)),
    ("a register, by one", "strings", 100_000, 18, flip(40 + 77)),
    ("lgK", "integers", 7, 14, flip(3)),
    ("the empty flag", "integers", 0, 11, flip(5, EMPTY)),
    ("the out-of-order flag", "integers", 1000, 11, flip(5, OUT_OF_ORDER)),
    ("KxQ0 left out", "strings", 1000, 8, clear(16, 8)),
    ("zero registers miscounted", "integers", 1000, 12, flip(32)),
    ("a byte too many", "integers", 8, 4, lambda data: data.append(0)),
    ("a byte too few", "integers", 8, 8, lambda data: data.pop()),
]


def self_test(folder):
    # Vectors from the definition of the format, and a string of more than 16 bytes.
    assert coupon(b"apple") == 0x08B61484, hex(coupon(b"apple"))
    long = "a user with a very long name, of 46 bytes here"
    sketch = hll_sketch(12, TYPES[8])
    sketch.update(long)
    assert parse(sketch.serialize_compact()).coupons == {coupon(long.encode())}

    write_matrix(folder)
    written = 0
    for family in FAMILIES:
        for lg_k in PRECISIONS:
            for n in SIZES:
                for bits in TYPES:
                    for form in FORMS:
                        name = file_name(family, n, lg_k, bits, form)
                        verify(name, (folder / name).read_bytes(), family, range(1, n + 1))
                        written += 1
    print(f"{written} sketches of the package equal to those computed without it")

    for family in FAMILIES:
        for lg_k in PRECISIONS:
            for n in SIZES:
                data = out_of_order(first_users(family, n, lg_k)).serialize_compact()
                (folder / ours(family, n, lg_k)).write_bytes(data)
    for lg_k in PRECISIONS:
        parts = ((folder / f"union_{part}_p{lg_k}.sk").read_bytes() for part in "ab")
        # A SET into registers keeps their HIP, and AdTally has none, hence out_of_order.
        data = out_of_order(union_of(*map(hll_sketch.deserialize, parts))).serialize_compact()
        (folder / f"ours_union_p{lg_k}.sk").write_bytes(data)
        data = out_of_order(union_of(*mixed_parts(lg_k))).serialize_compact()
        (folder / f"ours_mixed_p{lg_k}.sk").write_bytes(data)
    write_estimates(folder, 1.0)
    check(folder)
    write_estimates(folder, 1.3)
    faults = estimate_faults(folder)
    assert len(faults) == sum(n > 0 for _family, _lg_k, n in all_ours()), faults
    print(f"  estimates 30 % too high: {faults[0]}")

    changes = [(what, ours(family, n, lg_k), change) for what, family, n, lg_k, change in FAULTS]
    changes.append(("a register of a union", "ours_union_p14.sk", flip(40 + 1000)))
    changes.append(("a register of mixed precisions", "ours_mixed_p14.sk", flip(40 + 1000)))
    for what, name, change in changes:
        good = (folder / name).read_bytes()
        bad = bytearray(good)
        change(bad)
        (folder / name).write_bytes(bad)
        expect_fault(folder, what, name)
        (folder / name).write_bytes(good)
    (folder / name).rename(folder / "away")
    (folder / ours("integers", 8, 14)).rename(folder / name)
    faults = expect_fault(folder, "a file that is not there", ours("integers", 8, 14), name)
    assert len(faults) == 2
    print(f"{len(changes) + 2} faults made, and each found")


def all_ours():
    return [(family, lg_k, n) for family in FAMILIES for lg_k in PRECISIONS for n in SIZES]


def write_estimates(folder, factor):
    """The package's own estimates, for AdTally's."""
    lines = []
    for family, lg_k, n in all_ours():
        name = ours(family, n, lg_k)
        estimate = hll_sketch.deserialize((folder / name).read_bytes()).get_estimate()
        lines.append(f"{name}\t{factor * estimate}")
    (folder / "ours_estimates.tsv").write_text("\n".join(lines) + "\n")


def expect_fault(folder, what, *names):
    faults = faults_in(folder)[2]
    if [fault.split(":")[0] for fault in faults] != list(names):
        sys.exit(f"{what}: expected a fault in {names}, got {faults}")
    print(f"  {what}: {'; '.join(faults)}")
    return faults


COMMANDS = {"golden": write_golden, "write": write_matrix, "check": check, "self-test": self_test}

if __name__ == "__main__":
    if len(sys.argv) != 3 or sys.argv[1] not in COMMANDS:
        sys.exit(__doc__)
    COMMANDS[sys.argv[1]](Path(sys.argv[2]))
