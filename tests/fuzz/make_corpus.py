#!/usr/bin/python3
"""Writes the first files of the corpora: small pictures and data sets of every
kind. Inputs that once broke something are added by hand, and so are the kinds
Pillow does not write (interlaced, 16-bit colour, YCCK). Debian: python3-pil."""
import gzip
import io
import os
import struct
import tarfile

from PIL import Image

FOLDER = os.path.join(os.path.dirname(os.path.abspath(__file__)), "corpus")


def write(folder, name, body):
    path = os.path.join(FOLDER, folder)
    os.makedirs(path, exist_ok=True)
    with open(os.path.join(path, name), "wb") as out:
        out.write(body)


def picture(mode, width=13, height=10):
    colour = Image.new("RGB", (width, height))
    colour.putdata([(x * 19 % 256, y * 25 % 256, (x * y) % 256) for y in range(height) for x in range(width)])
    if mode == "I;16":
        deep = Image.new("I;16", (width, height))
        deep.putdata([(x * 5000 + y) % 65536 for y in range(height) for x in range(width)])
        return deep
    if mode == "P":
        return colour.convert("P", palette=Image.ADAPTIVE, colors=16)
    return colour.convert(mode)


def packed(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def pictures():
    for mode in ["1", "L", "LA", "P", "RGB", "RGBA", "I;16"]:
        write("picture", "png-%s" % mode.replace(";", "").lower(), packed(picture(mode), "PNG"))
    write("picture", "png-transparent", packed(picture("P"), "PNG", transparency=3))
    for mode in ["L", "RGB", "CMYK"]:
        for progressive in [False, True]:
            write("picture", "jpeg-%s%s" % (mode.lower(), "-progressive" if progressive else ""),
                  packed(picture(mode), "JPEG", quality=60, progressive=progressive))
    exif = Image.Exif()
    exif[0x0112] = 6
    write("picture", "jpeg-turned", packed(picture("RGB"), "JPEG", exif=exif.tobytes()))


def tar():
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for i in range(4):
            name = "%s/%s%d.png" % ("ab"[i % 2], "long" * (40 if i == 3 else 1), i)
            body = packed(picture("L", 8 + i, 8), "PNG")
            entry = tarfile.TarInfo(name)
            entry.size = len(body)
            archive.addfile(entry, io.BytesIO(body))
    return out.getvalue()


def data_sets():
    idx = struct.pack(">4B3I", 0, 0, 8, 3, 10, 6, 5) + bytes(i % 251 for i in range(10 * 30))
    cifar = b"".join(bytes([label]) + bytes((i * label) % 256 for i in range(3072)) for label in range(2))
    kinds = [tar(), gzip.compress(tar(), 9, mtime=0), idx, gzip.compress(idx, 9, mtime=0), cifar]
    for i, name in enumerate(["tar", "targz", "idx", "idxgz", "cifar"]):
        write("data", name, bytes([i]) + kinds[i])
        write("data", name + "-skip", bytes([i + 5]) + kinds[i][:len(kinds[i]) * 2 // 3])


pictures()
data_sets()
