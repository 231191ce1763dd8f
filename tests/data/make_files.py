"""Writes tests/data/files: pictures and arrays made by other programs (Pillow, NumPy), and what they must decode to;
and from these the seeds of the fuzz targets idx, npy, csv, picture and transforms in tests/fuzz/corpus.

    python3 tests/data/make_files.py        # needs numpy and pillow; the result is committed

expected.npz holds one array per picture, u8 [channels, height, width], and the results of Pillow's resampling.
"""
import gzip
import io
import os
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

HERE = os.path.dirname(os.path.abspath(__file__))
FOLDER = os.path.join(HERE, "files")
CORPUS = os.path.join(HERE, "..", "fuzz", "corpus")
HEIGHT, WIDTH = 7, 13
expected = {}


def write(name, data):
    with open(os.path.join(FOLDER, name), "wb") as file:
        file.write(data)


def planes(pixels):
    """[H, W] or [H, W, C] to [C, H, W]."""
    pixels = np.asarray(pixels)
    return pixels[None] if pixels.ndim == 2 else pixels.transpose(2, 0, 1)


def over_white(pixels):
    """[H, W, C + 1] with alpha to [C, H, W]."""
    pixels = pixels.astype(np.int64)
    alpha = pixels[..., -1:]
    return planes(((pixels[..., :-1] * alpha + 255 * (255 - alpha) + 127) // 255).astype(np.uint8))


def save(name, image, pixels, **options):
    stream = io.BytesIO()
    image.save(stream, **options)
    write(name, stream.getvalue())
    expected[name] = np.ascontiguousarray(pixels)


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def interlaced_png(pixels):
    """Pillow writes no Adam7, so this does."""
    height, width = pixels.shape
    rows = b""
    passes = ((0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1))
    for y0, x0, dy, dx in passes:
        part = pixels[y0::dy, x0::dx]
        if part.size:
            rows += b"".join(b"\0" + row.tobytes() for row in part)
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 1)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def masked_bmp(words, masks):
    """16 or 32 bits with masks: Pillow reads them but writes neither."""
    height, width = words.shape
    pitch = (width * words.itemsize + 3) // 4 * 4
    body = b"".join(row.tobytes().ljust(pitch, b"\0") for row in words[::-1])
    size = 56 if len(masks) == 4 else 40
    info = struct.pack("<IiiHHIIiiII", size, width, height, 1, words.itemsize * 8, 3, len(body), 0, 0, 0, 0)
    info += struct.pack("<%dI" % len(masks), *masks)
    offset = 14 + len(info)
    return struct.pack("<2sIHHI", b"BM", offset + len(body), 0, 0, offset) + info + body


def make_pictures(random):
    grey = random.integers(0, 256, (HEIGHT, WIDTH), dtype=np.uint8)
    colour = random.integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    rgba = random.integers(0, 256, (HEIGHT, WIDTH, 4), dtype=np.uint8)
    rgba[0, :3, 3] = (0, 255, 128)
    bits = grey > 127
    ramp = np.add.outer(np.arange(24) * 5, np.arange(31) * 3).astype(np.uint8)
    smooth = np.stack([ramp, ramp[::-1], ramp[:, ::-1]], axis=-1)

    save("grey.png", Image.fromarray(grey), planes(grey), format="png")
    save("colour.png", Image.fromarray(colour), planes(colour), format="png")
    save("alpha.png", Image.fromarray(rgba), over_white(rgba), format="png")
    save("grey_alpha.png", Image.fromarray(rgba[..., 2:], "LA"), over_white(rgba[..., 2:]), format="png")
    save("bits.png", Image.fromarray(bits), planes(bits.astype(np.uint8) * 255), format="png")
    palette = Image.fromarray(colour).quantize(5)
    save("palette.png", palette, planes(palette.convert("RGB")), format="png")
    save("palette_alpha.png", palette, over_white(np.asarray(as_rgba(palette, 2))), format="png", transparency=2)
    deep = random.integers(0, 65536, (HEIGHT, WIDTH)).astype(np.uint16)
    save("deep.png", Image.fromarray(deep), planes(((deep.astype(np.int64) * 255 + 32895) >> 16).astype(np.uint8)),
         format="png")
    write("interlaced.png", interlaced_png(grey))
    expected["interlaced.png"] = planes(grey)

    for name, image, options in (("grey.jpg", ramp, {}), ("colour.jpg", smooth, {}),
                                 ("full.jpg", smooth, {"subsampling": 0}),
                                 ("progressive.jpg", smooth, {"progressive": True})):
        stream = io.BytesIO()
        Image.fromarray(image).save(stream, "jpeg", quality=90, **options)
        write(name, stream.getvalue())
        expected[name] = np.ascontiguousarray(planes(Image.open(stream)))
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif[0x0112] = orientation
        stream = io.BytesIO()
        Image.fromarray(smooth[:16, :24]).save(stream, "jpeg", quality=95, exif=exif)
        name = "orientation%d.jpg" % orientation
        write(name, stream.getvalue())
        turned = Image.open(stream)
        expected[name] = np.ascontiguousarray(planes(ImageOps.exif_transpose(turned)))

    save("bits.bmp", Image.fromarray(bits), planes(bits.astype(np.uint8) * 255), format="bmp")
    save("grey.bmp", Image.fromarray(grey), planes(grey), format="bmp")
    save("palette.bmp", palette, planes(palette.convert("RGB")), format="bmp")
    save("colour.bmp", Image.fromarray(colour), planes(colour), format="bmp")
    save("unused.bmp", Image.fromarray(rgba), planes(rgba[..., :3]), format="bmp")  # the fourth byte has no meaning
    words = random.integers(0, 65536, (HEIGHT, WIDTH)).astype(np.int64)
    parts = [(words >> 11, 31), (words >> 5 & 63, 63), (words & 31, 31)]
    write("bits565.bmp", masked_bmp(words.astype("<u2"), (0xF800, 0x07E0, 0x001F)))
    expected["bits565.bmp"] = np.stack([(v * 255 + most // 2) // most for v, most in parts]).astype(np.uint8)
    wide = rgba.astype(np.int64)
    wide = wide[..., 0] << 24 | wide[..., 1] << 16 | wide[..., 2] << 8 | wide[..., 3]
    write("alpha.bmp", masked_bmp(wide.astype("<u4"), (0xFF000000, 0xFF0000, 0xFF00, 0xFF)))
    expected["alpha.bmp"] = over_white(rgba)

    size = b"%d %d\n" % (WIDTH, HEIGHT)
    plain = b"\n".join(b" ".join(b"%d" % v for v in row) for row in grey)
    digits = b"\n".join(b"".join(b"01"[v:v + 1] for v in row) for row in bits.astype(int))
    write("plain.pbm", b"P1\n# ones are black\n" + size + digits + b"\n")
    expected["plain.pbm"] = planes((1 - bits.astype(np.uint8)) * 255)
    write("plain.pgm", b"P2 # grey\n" + size + b"255\n" + plain + b"\n")
    expected["plain.pgm"] = planes(grey)
    write("plain.ppm", b"P3\n" + size + b"15\n" + b" ".join(b"%d" % (v >> 4) for v in colour.reshape(-1)))
    expected["plain.ppm"] = planes((colour >> 4) * 17)
    write("raw.pbm", b"P4\n" + size + np.packbits(bits, axis=1).tobytes())
    expected["raw.pbm"] = expected["plain.pbm"]
    write("deep.pgm", b"P5\n" + size + b"65535\n" + deep.astype(">u2").tobytes())
    expected["deep.pgm"] = planes(((deep.astype(np.int64) * 255 + 32767) // 65535).astype(np.uint8))
    write("raw.ppm", b"P6\n# made by hand\n" + size + b"255\n" + colour.tobytes())
    expected["raw.ppm"] = planes(colour)


def as_rgba(palette, transparent):
    pixels = np.asarray(palette.convert("RGBA")).copy()
    pixels[np.asarray(palette) == transparent, 3] = 0
    return pixels


def make_resampling(random):
    """Pillow's bilinear filter in single precision: always with antialiasing."""
    source = random.normal(size=(9, 14)).astype(np.float32)
    expected["source"] = source[None]
    for height, width in ((9, 14), (4, 5), (20, 33), (5, 30), (1, 1), (3, 14)):
        result = np.asarray(Image.fromarray(source).resize((width, height), Image.BILINEAR))
        expected["resized_%dx%d" % (height, width)] = result[None]


def make_arrays(random):
    values = random.integers(0, 100, (3, 4, 2))
    for code in ("<f4", ">f4", "<f8", ">f8", "<f2", "|i1", "|u1", "<i2", ">i2", "<u2", "<i4", ">i4", "<u4", "<i8", ">i8",
                 "<u8", "|b1"):
        np.save(os.path.join(FOLDER, "array_%s.npy" % code.replace("<", "l").replace(">", "b").replace("|", "x")),
                (values % 2 if code == "|b1" else values).astype(code))
    np.save(os.path.join(FOLDER, "fortran.npy"), np.asfortranarray(values.astype("<i4")))
    np.save(os.path.join(FOLDER, "scalar.npy"), np.float64(2.5))
    np.save(os.path.join(FOLDER, "empty.npy"), np.zeros((0, 5), "<f4"))
    np.save(os.path.join(FOLDER, "strings.npy"), np.array(["a", "bc"]))
    np.savez_compressed(os.path.join(FOLDER, "deflated.npz"), values=values, x=values.astype("f4") / 8)
    expected["values"] = values


def seed(target, name, data):
    os.makedirs(os.path.join(CORPUS, target), exist_ok=True)
    with open(os.path.join(CORPUS, target, name), "wb") as file:
        file.write(data)


def make_seeds():
    for name in sorted(os.listdir(FOLDER)):
        with open(os.path.join(FOLDER, name), "rb") as file:
            data = file.read()
        if name.endswith(".npy"):
            seed("npy", name[:-4], data)
        elif not name.endswith(".npz") and not name.startswith("orientation"):
            seed("picture", name, data)
    for code, kind in ((8, ">u1"), (9, ">i1"), (11, ">i2"), (12, ">i4"), (13, ">f4"), (14, ">f8")):
        head = struct.pack(">BBBBII", 0, 0, code, 2, 2, 3)
        seed("idx", "type%d" % code, head + np.arange(6).astype(kind).tobytes())
    images = struct.pack(">IIII", 2051, 2, 3, 4) + bytes(range(24))
    seed("idx", "images", images)
    seed("idx", "images.gz", gzip.compress(images, mtime=0))
    seed("idx", "short", images[:-3])
    tables = {
        "plain": b"a,b,c\n1,2,x\n3,4,y\n", "quoted": b"a,b\n\"x, \"\"y\"\"\",1\n\"two\nlines\",2\n",
        "missing": b"a,b\n?,1\n,NA\n3,0\n", "ragged": b"a,b\n1,2\n3\n", "open": b"a,b\n\"x,1\n",
        "numbered": b"\"x\",\"y\"\n\"1\",2,3\n\"2\",4,5\n", "mark": b"\xef\xbb\xbfa;b\r\n1;2\r\n", "empty": b"\n\n"}
    for name, text in tables.items():
        seed("csv", name, b"\x04" + text)
    seed("csv", "blanks", b"\x06" + b"1 2.5  x\n3 -4e1 y\n")
    seed("csv", "apostrophes", b"\x34" + b"1,'it''s'\n2.,'x'.\n")
    for number, text in enumerate((
            "resize(64); random_crop(56, padding=4); horizontal_flip; scale(1/255)",
            "normalise(mean=[0.5, 0.4, 1e-3], std=.25) # comment\n\none_hot(10)\n",
            "affine(rotate=10, translate=0.1);rgb();flatten;impute;standardise", "scale(1/0)", "resise(3", "noise(-1)")):
        seed("transforms", "list%d" % number, text.encode())


def main():
    os.makedirs(FOLDER, exist_ok=True)
    random = np.random.default_rng(2)
    make_pictures(random)
    make_resampling(random)
    make_arrays(random)
    np.savez(os.path.join(FOLDER, "expected.npz"), **expected)
    make_seeds()


main()
