"""Prints the table `pillow` of tests/test_image.c: what Pillow's bilinear
resize makes of the pattern of tests/pictures.h, as FNV-1a hashes.

    python3 tests/reference_resize.py          (Pillow 9.4)
"""
import numpy
from PIL import Image


def pattern(width, height, channels):
    x, y = numpy.meshgrid(numpy.arange(width), numpy.arange(height))
    planes = [(x * (3 + c) + y * (7 - 2 * c) + (x * y >> (2 + c)) + ((x ^ y) & 16) * (c + 1)) & 255
              for c in range(channels)]
    return numpy.stack(planes, 2).astype(numpy.uint8)


def fnv(data):
    h = 0xcbf29ce484222325
    for b in data:
        h = (h ^ b) * 0x100000001b3 & 0xffffffffffffffff
    return h


for width, height, channels, to_width, to_height, crop_width, crop_height in [
        (64, 48, 3, 32, 24, 32, 24), (64, 48, 3, 42, 32, 32, 32), (61, 47, 3, 41, 32, 32, 32),
        (28, 28, 1, 32, 32, 32, 32), (31, 100, 1, 32, 103, 32, 32), (500, 375, 3, 74, 56, 56, 56),
        (100, 75, 3, 298, 224, 224, 224), (5, 7, 3, 33, 46, 33, 33), (301, 200, 3, 77, 51, 50, 40)]:
    pixels = pattern(width, height, channels)
    picture = Image.fromarray(pixels[:, :, 0] if channels == 1 else pixels)
    left = int(round((to_width - crop_width) / 2.0))
    top = int(round((to_height - crop_height) / 2.0))
    out = picture.resize((to_width, to_height), Image.BILINEAR)
    out = out.crop((left, top, left + crop_width, top + crop_height))
    print("    { %d, %d, %d, %d, %d, %d, %d, %d, %d, UINT64_C(0x%016x) }," % (
        width, height, channels, to_width, to_height, crop_width, crop_height, left, top, fnv(out.tobytes())))
