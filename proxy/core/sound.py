"""How long a file of sound can be at most, read from its bytes: what is billed by the second is held by that.

An upper limit, and no estimate: what a header says is believed only where nothing else decides how long it plays. Of
FLAC, MP3 and Ogg each frame or packet says how long it is, of WAV the sample's size does. MP4 and WebM say it in their
headers and tables, as players and those who bill by the second read it. Formats: RFC 9639 (FLAC), RFC 3533 and 7845
(Ogg, Opus), the Vorbis I specification, ISO 11172-3 and 13818-3 (MP3), ISO 14496-12 (MP4), RFC 9559 (Matroska).
"""

import struct
from collections.abc import Iterator
from functools import lru_cache
from typing import Final

from proxy.values.request import Request

#: of a file that cannot be read: Codec 2, the leanest codec of speech in use, packs a second into 56 bytes
FEWEST_BYTES_A_SECOND: Final = 50
#: no layer of MPEG's sound has less than 8 kbit/s
_FEWEST_OF_MPEG: Final = 1_000
#: so many frames, packets or boxes are read one by one, and what is left is bounded by its bytes
_MOST_READ: Final = 300_000
_SECOND: Final = 1_000_000_000
#: bytes that are looked through at once: nobody else runs meanwhile
_A_LOOK: Final = 256 * 1024
_OPUS_RATE: Final = 48_000
#: of an Opus packet, by the first five bits of its first byte: samples of one frame at 48 kHz
_OPUS_FRAMES: Final = (*(480, 960, 1920, 2880) * 3, *(480, 960) * 2, *(120, 240, 480, 960) * 4)
_MOST_OF_OPUS: Final = 5_760
#: kbit/s by the index in a header, of version 1 layers I to III, and of the later versions' I and of their II and III
_KBITS: Final = {
    (1, 1): (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    (1, 2): (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    (1, 3): (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
    (2, 1): (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    (2, 2): (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
_MPEG_RATES: Final = (44_100, 48_000, 32_000)
#: WAV's codecs whose samples all have the same size: PCM, float, A-law, mu-law, and what says it behind
_PLAIN_CODECS: Final = frozenset({1, 3, 6, 7, 0xFFFE})
_MASTERS: Final = frozenset({0x18538067, 0x1549A966, 0x1F43B675, 0xA0})  # Segment, Info, Cluster, BlockGroup
_BLOCKS: Final = frozenset({0xA3, 0xA1})
_LONGEST_BLOCK_NS: Final = 120_000_000
_NOTHING_SAID: Final = frozenset({0xFFFFFFFF, 0xFFFFFFFFFFFFFFFF})


def measure(request: Request) -> Request:
    """The request with what its files can play at most."""
    files = request.form.files if request.form is not None else ()
    return request._replace(sound_seconds=sum(map(longest_seconds, files)))


def measure_quickly(request: Request) -> Request:
    """``measure`` where there is no time to read every frame: MP3 by its leanest rate, Ogg and WebM as files that
    cannot be read."""
    files = request.form.files if request.form is not None else ()
    return request._replace(sound_seconds=sum(map(_bound_quickly, files)))


def _bound_quickly(sound: bytes) -> int:
    if sound[:4] in (b"OggS", b"\x1a\x45\xdf\xa3"):
        return len(sound) // FEWEST_BYTES_A_SECOND + 1
    if sound[:3] == b"ID3" or _frame_of(sound[:4]) is not None:
        return len(sound) // _FEWEST_OF_MPEG + 1
    return longest_seconds(sound)


def longest_seconds(sound: bytes) -> int:
    """The most whole seconds that a file can play."""
    try:
        read = _read(sound)
    except (IndexError, ValueError, ZeroDivisionError, OverflowError, struct.error):
        read = None
    if read is None:
        read = _ns(len(sound), FEWEST_BYTES_A_SECOND)
    return -(-read // _SECOND) or 1


def _ns(units: int, rate: int) -> int:
    """How long so many units take, in nanoseconds, rounded up."""
    return -(-units * _SECOND // rate)


def _read(sound: bytes) -> int | None:
    """Nanoseconds; None for what is no format that is known here, or is broken."""
    if sound[:4] in (b"RIFF", b"RF64") and sound[8:12] == b"WAVE":
        return _read_wav(sound)
    if sound[:4] == b"fLaC":
        return _read_flac(sound)
    if sound[:4] == b"OggS":
        return _read_ogg(sound)
    if sound[4:8] == b"ftyp":
        return _read_mp4(sound)
    if sound[:4] == b"\x1a\x45\xdf\xa3":
        return _read_webm(sound)
    if sound[:3] == b"ID3" or _frame_of(sound[:4]) is not None:
        return _read_mpeg(sound)
    return None


def _read_wav(sound: bytes) -> int | None:
    """All of the file at its samples' size: what a chunk says of its own length may be too little."""
    at = 12
    while at + 24 <= len(sound):
        length = int.from_bytes(sound[at + 4 : at + 8], "little")
        if sound[at : at + 4] == b"fmt ":
            codec = int.from_bytes(sound[at + 8 : at + 10], "little")
            rate = int.from_bytes(sound[at + 12 : at + 16], "little")
            channels, block, bits = (int.from_bytes(sound[at + n : at + n + 2], "little") for n in (10, 20, 22))
            # The same is said twice, and players go by either.
            size = min(block, channels * bits // 8 or block)
            return _ns(len(sound), rate * size) if codec in _PLAIN_CODECS else None
        at += 8 + length + length % 2
    return None


def _read_flac(sound: bytes) -> int:
    """As many frames as there can be, each as long as the longest. A frame begins with one of two pairs of bytes; by
    chance others look like it, few."""
    frames = sum(
        sound.count(sign, start, start + _A_LOOK + 1)
        for start in range(0, len(sound), _A_LOOK)
        for sign in (b"\xff\xf8", b"\xff\xf9")
    )
    return _ns(frames * _flac_block(sound), _flac_rate(sound))


def _flac_block(head: bytes) -> int:
    """The most samples of a frame."""
    return int.from_bytes(head[10:12], "big") or 65_535


def _flac_rate(head: bytes) -> int:
    return int.from_bytes(head[18:21], "big") >> 4


def _read_ogg(sound: bytes) -> int | None:
    """Packet by packet, of all streams in it together."""
    total, packets, kinds = 0, 0, dict[bytes, tuple[str, int, int]]()
    at = 0
    while at < len(sound):
        if sound[at : at + 4] != b"OggS":
            return None
        if packets > _MOST_READ:
            return total + _ns(len(sound) - at, FEWEST_BYTES_A_SECOND)
        is_continued, serial, table = (
            sound[at + 5] & 1,
            sound[at + 14 : at + 18],
            sound[at + 27 : at + 27 + sound[at + 26]],
        )
        at += 27 + len(table)
        if serial not in kinds:
            kinds[serial] = _kind_of(sound[at : at + 64])
        kind, rate, longest = kinds[serial]
        if not rate:
            return None
        if kind == "opus":
            read = _packets(table, at)
            # What begins with the rest of a packet does not say how long that one is.
            samples = longest if is_continued and next(read, None) else 0
            total += _ns(samples + sum(_opus_samples(sound, *packet) for packet in read), rate)
        else:
            total += _ns((len(table) - table.count(255)) * longest, rate)
        packets += len(table)
        at += sum(table)
    return total


def _kind_of(head: bytes) -> tuple[str, int, int]:
    """The codec of a stream in an Ogg file, its samples a second, and the most samples that a packet has."""
    if head[:8] == b"OpusHead":
        return "opus", _OPUS_RATE, _MOST_OF_OPUS
    if head[:7] == b"\x01vorbis":
        # A packet gives half of its own block and half of the one before.
        return "vorbis", int.from_bytes(head[12:16], "little"), 1 << (head[28] >> 4) >> 1
    if head[:5] == b"\x7fFLAC":
        return "flac", _flac_rate(head[9:]), _flac_block(head[9:])
    return "", 0, 0


def _packets(table: bytes, at: int) -> Iterator[tuple[int, int]]:
    """Where the packets of a page begin, and their lengths there."""
    length = 0
    for size in table:
        length += size
        if size < 255:
            yield at, length
            at, length = at + length, 0


def _opus_samples(sound: bytes, at: int, length: int) -> int:
    if not length or sound[at : at + 4] == b"Opus":  # the two heads
        return 0
    first = sound[at]
    frames = (1, 2, 2, sound[at + 1] & 63 if length > 1 and at + 1 < len(sound) else 48)[first & 3]
    return min(_OPUS_FRAMES[first >> 3] * frames, _MOST_OF_OPUS)


def _read_mpeg(sound: bytes) -> int:
    """Add up the length, frame by frame. Bytes that are no frame, such as tags, count as the longest that they could
    play."""
    total, at = 0, 0
    if sound[:3] == b"ID3":
        tag = sound[6:10]
        at = 10 + (tag[0] << 21 | tag[1] << 14 | tag[2] << 7 | tag[3])
        if at >= len(sound):
            return _ns(len(sound), _FEWEST_OF_MPEG)
    for _ in range(_MOST_READ):
        if at + 4 > len(sound):
            return total
        frame = _frame_of(sound[at : at + 4])
        if frame is None:
            further = sound.find(b"\xff", at + 1)
            further = len(sound) if further < 0 else further
            total += _ns(further - at, _FEWEST_OF_MPEG)
            at = further
        else:
            total += frame[0]
            at += frame[1]
    return total + _ns(len(sound) - at, _FEWEST_OF_MPEG)


@lru_cache(maxsize=256)
def _frame_of(head: bytes) -> tuple[int, int] | None:
    """Nanoseconds and bytes of the frame that has this header; None where it is no header."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return None
    version, layer, index, speed = head[1] >> 3 & 3, 4 - (head[1] >> 1 & 3), head[2] >> 4, head[2] >> 2 & 3
    if version == 1 or layer == 4 or index in (0, 15) or speed == 3:
        return None
    is_first = version == 3
    rate = _MPEG_RATES[speed] >> (0 if is_first else 1 if version == 2 else 2)
    bits = _KBITS[1 if is_first else 2, layer if is_first else min(layer, 2)][index - 1] * 1000
    samples = 384 if layer == 1 else 576 if layer == 3 and not is_first else 1152
    padding = head[2] >> 1 & 1
    length = (samples // 32 * bits // rate + padding) * 4 if layer == 1 else samples // 8 * bits // rate + padding
    return _ns(samples, rate), length


def _read_mp4(sound: bytes) -> int | None:
    """The longest that any header or table of it says."""
    longest, scale, is_told = 0, 0, False
    for kind, at, end in _boxes(sound):
        if kind == b"moof":
            return None
        if kind in (b"mvhd", b"mdhd"):
            wide = 8 if sound[at] else 4
            place = at + 4 + 2 * wide
            scale = int.from_bytes(sound[place : place + 4], "big")
            length = int.from_bytes(sound[place + 4 : place + 4 + wide], "big")
            longest = max(longest, 0 if length in _NOTHING_SAID else _ns(length, scale))
        elif kind == b"stts" and scale:
            entries = min(int.from_bytes(sound[at + 4 : at + 8], "big"), (end - at - 8) // 8, _MOST_READ)
            pairs = range(at + 8, at + 8 + 8 * entries, 8)
            units = sum(
                int.from_bytes(sound[pair : pair + 4], "big") * int.from_bytes(sound[pair + 4 : pair + 8], "big")
                for pair in pairs
            )
            longest, is_told = max(longest, _ns(units, scale)), True
    return longest if is_told else None


def _boxes(sound: bytes) -> Iterator[tuple[bytes, int, int]]:
    """Every box on the way to the tables: its kind, and where what it holds begins and ends."""
    ends, at = [len(sound)], 0
    for _ in range(_MOST_READ):
        while ends and at >= ends[-1]:
            ends.pop()
        if not ends or at + 8 > len(sound):
            return
        length, kind, head = int.from_bytes(sound[at : at + 4], "big"), sound[at + 4 : at + 8], 8
        if length == 1:
            length, head = int.from_bytes(sound[at + 8 : at + 16], "big"), 16
        end = min(at + length, ends[-1]) if length else ends[-1]
        if length and length < head:
            return
        yield kind, at + head, end
        if kind in (b"moov", b"trak", b"mdia", b"minf", b"stbl"):
            ends.append(end)
            at += head
        else:
            at = end


def _read_webm(sound: bytes) -> int | None:
    """What its head says, or the last of its blocks, whichever is later."""
    scale, said, cluster, last, blocks = 1_000_000, 0, 0, 0, 0
    at = 0
    for _ in range(_MOST_READ):
        if at >= len(sound):
            break
        kind, at = _number(sound, at, keeps_mark=True)
        length, at = _number(sound, at)
        if kind in _MASTERS:
            continue
        content = sound[at : at + min(length, 8)]
        if kind == 0x2AD7B1:
            scale = int.from_bytes(content, "big")
        elif kind == 0x4489:
            said = _read_float(content)
        elif kind == 0xE7:
            cluster = int.from_bytes(content, "big")
        elif kind in _BLOCKS:
            place = at + 9 - sound[at].bit_length()
            last = max(last, cluster + int.from_bytes(sound[place : place + 2], "big", signed=True))
            blocks += 1
        at += length
    else:
        return None
    if not blocks:
        return None
    return max(said, last) * scale + _LONGEST_BLOCK_NS


def _number(sound: bytes, at: int, *, keeps_mark: bool = False) -> tuple[int, int]:
    """A number of Matroska's own kind, and where it ends."""
    size = 9 - sound[at].bit_length()
    if size > 8:
        raise ValueError(at)
    number = int.from_bytes(sound[at : at + size], "big")
    return (number if keeps_mark else number & (1 << 7 * size) - 1), at + size


def _read_float(content: bytes) -> int:
    """A number with a fraction, rounded up."""
    (number,) = struct.unpack(">f" if len(content) == 4 else ">d", content)
    return int(number) + 1
