"""How long a file of sound can play: never less than it does, whatever its codec, and whatever its header says."""

import struct
from dataclasses import replace
from typing import Final

import pytest
from hypothesis import given
from hypothesis import strategies as st

from proxy.core.demand import find_demand
from proxy.core.sound import FEWEST_BYTES_A_SECOND, longest_seconds, measure, measure_quickly
from proxy.values.form import Form, Part
from proxy.values.request import Operation
from tests.proxy.core.examples import MODEL, PRICE, UPSTREAM, make_chat, reprice

MINUTE: Final = 60


def wav(
    seconds: int, *, rate: int = 16_000, codec: int = 1, block: int = 2, said: int | None = None, told: int = 0
) -> bytes:
    data = bytes(seconds * rate * block)
    head = struct.pack("<HHIIHH", codec, 1, rate, rate * block, told or block, 8 * block)
    length = len(data) if said is None else said
    return b"RIFF\0\0\0\0WAVEfmt " + struct.pack("<I", len(head)) + head + b"data" + struct.pack("<I", length) + data


def flac_head(rate: int, block: int) -> bytes:
    sizes = struct.pack(">HH", block, block) + bytes(6)
    return b"\0\0\0\x22" + sizes + (rate << 44 | 15 << 36).to_bytes(8, "big") + bytes(16)


def flac(frames: int, *, rate: int = 8_000, block: int = 4_096) -> bytes:
    """Silence: a frame has few bytes, however long it is."""
    return b"fLaC" + flac_head(rate, block) + (b"\xff\xf8\x69\x08" + bytes(10)) * frames


def ogg(*packets: bytes, is_continued: bool = False) -> bytes:
    """A page with whole packets."""
    table = b"".join(b"\xff" * (len(packet) // 255) + bytes([len(packet) % 255]) for packet in packets)
    head = b"OggS\0" + bytes([1 if is_continued else 0]) + bytes(8) + b"abcd" + bytes(8) + bytes([len(table)])
    return head + table + b"".join(packets)


#: 60 ms of speech that is none, and twice 20 ms at a high rate
OPUS_60: Final = bytes([3 << 3])
OPUS_2_20: Final = bytes([19 << 3 | 1]) + bytes(9)
OPUS_HEADS: Final = ogg(b"OpusHead" + bytes(11)) + ogg(b"OpusTags" + bytes(300))
MP3: Final = b"\xff\xfb\x90\x00" + bytes(413)  # 128 kbit/s at 44,100 Hz: 1,152 samples
MP3_LEAN: Final = b"\xff\xe3\x18\x00" + bytes(68)  # 8 kbit/s at 8,000 Hz: 576 samples
ID3: Final = b"ID3\x04\0\0\0\0\x02\0" + b"\xff" * 256


def box(kind: bytes, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return struct.pack(">I", 8 + len(content)) + kind + content


def mp4(*, movie: int = 60_000, media: int = 60_000, samples: int = 60, wide: bool = False) -> bytes:
    """A minute, unless a part of it says otherwise; in milliseconds."""
    whole = struct.pack(">BxxxQQIQ", 1, 0, 0, 1000, movie) if wide else struct.pack(">IIIII", 0, 0, 0, 1000, movie)
    table = box(b"stts", struct.pack(">IIII", 0, 1, samples, 1000))
    track = box(b"mdia", box(b"mdhd", struct.pack(">IIIII", 0, 0, 0, 1000, media)), box(b"minf", box(b"stbl", table)))
    return box(b"ftyp", b"M4A ") + box(b"mdat", bytes(2_000)) + box(b"moov", box(b"mvhd", whole), box(b"trak", track))


def element(kind: str, content: bytes) -> bytes:
    return bytes.fromhex(kind) + bytes([0x80 | len(content)]) + content


def webm(*clusters: int, said: float | None = None, unit_ns: int = 1_000_000) -> bytes:
    """As browsers record: nothing says how long anything is. Each cluster has a block half a second behind it."""
    info = element("2AD7B1", unit_ns.to_bytes(4, "big"))
    if said is not None:
        info += element("4489", struct.pack(">d", said))
    blocks = b"".join(
        bytes.fromhex("1F43B67501FFFFFFFFFFFFFF")
        + element("E7", start.to_bytes(4, "big"))
        + element("A3", b"\x81" + struct.pack(">h", 500) + b"\x80" + bytes(20))
        for start in clusters
    )
    return element("1A45DFA3", b"") + bytes.fromhex("1853806701FFFFFFFFFFFFFF") + element("1549A966", info) + blocks


FILES: Final[dict[str, tuple[bytes, int]]] = {
    "wav": (wav(MINUTE), 61),
    "wav of telephones": (wav(MINUTE, rate=8_000, codec=7, block=1), 61),
    "wav that says that it has less": (wav(MINUTE, said=2), 61),
    "wav that says that its samples are larger": (wav(MINUTE, told=65_535), 61),
    "wav of one sample a second": (wav(MINUTE, rate=1, block=1), MINUTE + 44),
    "flac": (flac(118), 61),
    "flac whose frames lie across what is looked through at once": (
        b"fLaC" + flac_head(8_000, 4_096) + (bytes(256 * 1024 - 43) + b"\xff\xf9" + bytes(41)) * 4,
        3,
    ),
    "flac of long blocks at a low rate": (flac(4, rate=1_000, block=65_535), 263),
    "flac that says nothing of its blocks": (flac(4, rate=1_000, block=0), 263),
    "opus": (OPUS_HEADS + ogg(*[OPUS_60] * 100) * 10, MINUTE),
    "opus, two frames a packet": (OPUS_HEADS + ogg(*[OPUS_2_20] * 50) * 30, MINUTE),
    "opus, as many frames as it says": (OPUS_HEADS + ogg(*[bytes([19 << 3 | 3, 3])] * 100) * 10, MINUTE),
    "opus of a packet in two pages": (OPUS_HEADS + ogg(OPUS_60, is_continued=True) * 500, MINUTE),
    "vorbis": (ogg(b"\x01vorbis" + bytes(5) + struct.pack("<I", 8_192) + bytes(12) + b"\xb8") + ogg(b"a") * 480, 61),
    "flac in ogg": (ogg(b"\x7fFLAC\1\0\0\1fLaC" + flac_head(8_192, 4_096)) + ogg(b"a") * 119, MINUTE),
    "mp3": (MP3 * 2_297, 61),
    "mp3 behind a tag": (ID3 + MP3 * 2_297, 61),
    "mp3 of 8 kbit/s": (MP3_LEAN * 834, 61),
    "mp3 with something between": ((MP3 + b"x" * 1_000) * 60, 62),
    "m4a": (mp4(), MINUTE),
    "m4a of 64 bits": (mp4(wide=True), MINUTE),
    "m4a whose movie says less": (mp4(movie=1), MINUTE),
    "m4a whose samples are longer": (mp4(movie=1, media=1), MINUTE),
    "webm": (webm(0, 30_000, 59_500), 61),
    "webm that says more": (webm(0, said=60_000.0), 61),
    "webm in finer units": (webm(0, 30_000, 599_500, unit_ns=100_000), 61),
}


@pytest.mark.parametrize("name", FILES)
def test_a_minute_is_a_minute_or_a_little_more(name: str) -> None:
    sound, seconds = FILES[name]
    assert longest_seconds(sound) == seconds


@pytest.mark.parametrize(
    "sound",
    [
        b"R" * 5_000,
        wav(1, codec=0x55, rate=2_500, block=2)[:5_000],
        (b"fLaC" + bytes(5_000))[:5_000],
        ogg(b"Speex   " + bytes(200)) + bytes(5_000 - 28 - 208),
        (box(b"ftyp", b"isom") + box(b"moof", bytes(16)) + bytes(5_000))[:5_000],
        (webm() + bytes(5_000))[:5_000],
        (b"#!AMR\n" + bytes(5_000))[:5_000],
    ],
)
def test_what_cannot_be_read_is_as_long_as_the_leanest_codec_can_be(sound: bytes) -> None:
    assert (len(sound), longest_seconds(sound)) == (5_000, 5_000 // FEWEST_BYTES_A_SECOND)


@pytest.mark.parametrize("name", FILES)
def test_what_is_read_quickly_is_no_shorter_or_as_if_it_could_not_be_read(name: str) -> None:
    sound, seconds = FILES[name]
    request = make_chat()._replace(form=Form(b"xyz", (Part("file", True, b"", sound),)))
    found = measure_quickly(request).sound_seconds
    if name.split()[0] in {"wav", "flac", "mp3", "m4a"} and "in ogg" not in name:
        assert seconds <= found
    else:
        assert found == len(sound) // FEWEST_BYTES_A_SECOND + 1


@given(st.sampled_from(sorted(FILES)), st.integers(0, 400), st.binary(max_size=40), st.booleans())
def test_no_bytes_are_too_strange(name: str, place: int, strange: bytes, cut: bool) -> None:
    sound, _ = FILES[name]
    changed = sound[:place] + strange + (b"" if cut else sound[place:3_000])
    assert longest_seconds(changed) >= 1


def test_files_are_measured_together() -> None:
    parts = tuple(Part(f"file{n}", True, b"", sound) for n, sound in enumerate((wav(2), MP3 * 40)))
    form = Form(b"xyz", (*parts, Part("model", False, b"", b"R" * 9_999)))
    request = make_chat()._replace(operation=Operation.TRANSCRIPTION, form=form)
    assert measure(request).sound_seconds == 3 + 2
    assert measure_quickly(request).sound_seconds == 3 + 40 * 417 // 1_000 + 1
    price = replace(reprice(PRICE, seconds=100_000_000), units=("seconds",))
    assert find_demand(request, MODEL, price, UPSTREAM).units == (("seconds", 5),)
    assert find_demand(request._replace(sound_seconds=7), MODEL, price, UPSTREAM).units == (("seconds", 7),)
