"""A browser's picture of a page in few colours: small enough to be kept beside the text."""

import collections
import struct
import zlib

COLOURS = 160


def chunks(png):
    at = 8
    while at < len(png):
        length, = struct.unpack(">I", png[at:at + 4])
        yield png[at + 4:at + 8], png[at + 8:at + 8 + length]
        at += 12 + length


def paeth(a, b, c):
    p = a + b - c
    near = min((abs(p - a), 0), (abs(p - b), 1), (abs(p - c), 2))[1]
    return (a, b, c)[near]


def unfiltered(line, above, kind, step):
    """One line of bytes as it was before PNG's filter."""
    for i in range(len(line)):
        left = line[i - step] if i >= step else 0
        corner = above[i - step] if i >= step else 0
        if kind == 1:
            line[i] = (line[i] + left) & 255
        elif kind == 2:
            line[i] = (line[i] + above[i]) & 255
        elif kind == 3:
            line[i] = (line[i] + (left + above[i]) // 2) & 255
        elif kind == 4:
            line[i] = (line[i] + paeth(left, above[i], corner)) & 255
    return line


def pixels(png):
    """Width, and the colours line by line."""
    parts = list(chunks(png))
    width, height, depth, colour = struct.unpack(">IIBB", parts[0][1][:10])
    assert depth == 8 and colour in (2, 6)
    step = 3 if colour == 2 else 4
    raw = zlib.decompress(b"".join(content for name, content in parts if name == b"IDAT"))
    above, lines = bytearray(width * step), []
    for y in range(height):
        at = y * (width * step + 1)
        above = unfiltered(bytearray(raw[at + 1:at + 1 + width * step]), above, raw[at], step)
        lines.append([tuple(above[i:i + 3]) for i in range(0, len(above), step)])
    return width, lines


def chunk(name, content):
    return struct.pack(">I", len(content)) + name + content + struct.pack(
        ">I", zlib.crc32(name + content))


def in_few_colours(png):
    width, lines = pixels(png)
    counted = collections.Counter(colour for line in lines for colour in line)
    palette = [colour for colour, _ in counted.most_common(COLOURS)]
    place = {colour: min(range(len(palette)), key=lambda i: sum(
        (a - b) ** 2 for a, b in zip(colour, palette[i]))) for colour in counted}
    raw = b"".join(b"\0" + bytes(place[colour] for colour in line) for line in lines)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(
        ">IIBBBBB", width, len(lines), 8, 3, 0, 0, 0)) + chunk(
            b"PLTE", b"".join(map(bytes, palette))) + chunk(
                b"IDAT", zlib.compress(raw, 9)) + chunk(b"IEND", b""))
