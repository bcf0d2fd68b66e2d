"""An image file becomes RGB, uint8, ``(H, W, 3)``, in one way, or an ImageError.

There is one way, the same when fitting and on the device:

- EXIF orientation is applied.
- Grey is repeated into three channels, a palette is looked up, and CMYK is converted.
- Alpha is dropped, so that hidden colours under transparent pixels are seen.
- 16 bits become 8 by ``round(value / 257)``, so 65535 becomes 255. A 12-bit camera that writes
  0-4095 into 16-bit files gives dark images, when fitting and on the device alike.
- If there are several pages, the first is read.
- Floating-point and signed pixels are refused.

An image of which a part is missing is refused as far as its format lets anybody see it. PNG carries
checksums over the whole file and a deflated TIFF over its pixels, and they are checked. In a JPEG
only damage that the decoder stumbles over can be seen. Every warning of that decoder is therefore
an error here, and progressive JPEGs, in which losses of hundreds of bytes pass unseen, are refused.
A flipped bit or a few lost bytes of a baseline JPEG mostly decode to some other picture, and so do
bytes that were overwritten in a WebP, a BMP or another TIFF. Nobody can tell such a picture.

A file is read once, if it is a plain file and not larger than an image of the allowed number of
pixels can be. That number is taken from the header before a pixel is decoded, and what was decoded
must be as large as the header says. Decoding takes 16 bytes per pixel at most, beside the file.
"""

from edge_ad_runtime.images.decode import MAX_PIXELS, RGBImage, decode_image, read_image
from edge_ad_runtime.images.folder import IMAGE_SUFFIXES, expand_folders, write_png

__all__ = [
    "IMAGE_SUFFIXES",
    "MAX_PIXELS",
    "RGBImage",
    "decode_image",
    "expand_folders",
    "read_image",
    "write_png",
]
