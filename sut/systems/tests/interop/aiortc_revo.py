"""A peer of ReVo on aiortc, standing in for the original's sender and receiver: written from the description of its messages
(docs/REVO.md), with nothing of this repository in it.

    aiortc_revo.py send URL CODEC RGB DEPTH FRAMES     aiortc_revo.py receive URL CODEC

`receive` prints {"rgb": pictures, "depth": pictures, "frames": N} when the sender has said bye.
"""

import asyncio
import fractions
import json
import struct
import sys
import time

import aiohttp
import av
import zfec
from aiortc import RTCPeerConnection, RTCSessionDescription

GOP, CHUNK, SLOT = 30, 1024, 1 / 30
DESC = struct.Struct("<BBIIBHHHI")
STREAMS = {"rgb": 3, "depth": 4}
ENCODERS = {
    "h264": ("libx264", "medium", "x264-params",
             "qp=30:keyint=30:min-keyint=30:scenecut=0:bframes=0:rc-lookahead=0:sync-lookahead=0"),
    "h265": ("libx265", "ultrafast", "x265-params",
             "qp=30:keyint=30:min-keyint=30:scenecut=0:bframes=0:rc-lookahead=0:frame-threads=1:log-level=none"),
}


class Encoder:
    def __init__(self, codec):
        name, preset, key, params = ENCODERS[codec]
        self.context = av.CodecContext.create(name, "w")
        self.context.width, self.context.height, self.context.pix_fmt = 512, 512, "yuv420p"
        self.context.time_base = fractions.Fraction(1, 30)
        self.context.options = {"preset": preset, "tune": "zerolatency", key: params}

    def encode(self, picture):
        return b"".join(bytes(p) for p in self.context.encode(picture))


def pictures(path):
    with av.open(path) as container:
        for frame in container.decode(video=0):
            frame = frame.reformat(512, 512, "rgb24").reformat(format="yuv420p")
            frame.pts = None
            yield frame


def messages(stream, frame, gop, payload):
    """A frame's messages without repeats, in order."""
    if frame % GOP == 0:
        k = max(1, -(-len(payload) // CHUNK))
        n = k + (k + 1) // 2
        size = -(-len(payload) // k)
        padded = payload.ljust(k * size, b"\0")
        parts = [padded[i * size : (i + 1) * size] for i in range(k)]
        parts = zfec.Encoder(k, n).encode(parts) if n > k else parts
    else:
        k = n = max(1, -(-len(payload) // CHUNK))
        parts = [payload[i * CHUNK : (i + 1) * CHUNK] for i in range(k)]
    return [DESC.pack(2, STREAMS[stream], frame, gop, 30, i, n, k, len(payload)) + bytes(p) for i, p in enumerate(parts)]


async def send(ws, codec, rgb, depth, count):
    pc = RTCPeerConnection()
    channels = {s: pc.createDataChannel(f"{s}_payload", ordered=False, maxRetransmits=0) for s in STREAMS}
    opened = {s: asyncio.Event() for s in STREAMS}
    for s in STREAMS:
        channels[s].on("open", opened[s].set)
    await pc.setLocalDescription(await pc.createOffer())
    await asyncio.sleep(1)
    await ws.send_json({"type": "offer", "sdp": pc.localDescription.sdp, "role": "offer"})
    async for message in ws:
        message = json.loads(message.data)
        if message["type"] == "answer":
            await pc.setRemoteDescription(RTCSessionDescription(message["sdp"], "answer"))
            break
    await opened["rgb"].wait()

    async def warm_up():
        end = time.perf_counter() + 1
        while time.perf_counter() < end:
            channels["rgb"].send(bytes(1200))
            await asyncio.sleep(0.005)

    warming = asyncio.ensure_future(warm_up())
    await opened["depth"].wait()
    await asyncio.sleep(2)
    await warming
    channels["rgb"].send(struct.pack("<BHHHHH", 1, 512, 512, 30, CHUNK, CHUNK))
    encoders = {s: Encoder(codec) for s in STREAMS}
    sources = {"rgb": pictures(rgb), "depth": pictures(depth)}
    loop, start, gop = asyncio.get_event_loop(), None, 0
    for frame in range(count):
        begun = time.perf_counter()
        if frame == 1:
            start = begun
        encode = lambda s: encoders[s].encode(next(sources[s]))
        coded = dict(zip(STREAMS, await asyncio.gather(*(loop.run_in_executor(None, encode, s) for s in STREAMS))))
        gop = frame if frame % GOP == 0 else gop
        lists = {s: messages(s, frame, gop, coded[s]) for s in STREAMS}
        order = []
        for i in range(max(map(len, lists.values()))):
            order += [(s, lists[s][i]) for s in STREAMS if i < len(lists[s])]
        now = time.perf_counter()
        end = now + SLOT if frame == 0 else start + frame * SLOT
        for i, (s, message) in enumerate(order):
            channels[s].send(message)
            await asyncio.sleep(max(0, now + (end - now) * (i + 1) / len(order) - time.perf_counter()))
        if frame % GOP:
            for s in STREAMS:
                channels[s].send(lists[s][0])
    await asyncio.sleep(0.5)
    await ws.send_json({"type": "bye"})
    await ws.close()
    await pc.close()
    print(json.dumps({"sent": count}))


async def receive(ws, codec):
    pc = RTCPeerConnection()
    got = {s: {} for s in STREAMS}
    names = {v: k for k, v in STREAMS.items()}

    @pc.on("datachannel")
    def on_channel(channel):
        @channel.on("message")
        def on_message(message):
            if len(message) >= DESC.size and message[0] == 2:
                _, stream, frame, gop, qp, i, n, k, total = DESC.unpack_from(message)
                slot = got[names[stream]].setdefault(frame, {"k": k, "n": n, "total": total, "parts": {}})
                slot["parts"][i] = bytes(message[DESC.size :])

    async for message in ws:
        message = json.loads(message.data)
        if message["type"] == "offer":
            await pc.setRemoteDescription(RTCSessionDescription(message["sdp"], "offer"))
            await pc.setLocalDescription(await pc.createAnswer())
            await asyncio.sleep(1)
            await ws.send_json({"type": "answer", "sdp": pc.localDescription.sdp, "role": "answer"})
        elif message["type"] == "bye":
            break
    await asyncio.sleep(0.1)
    decoded = {}
    for s, frames in got.items():
        decoder = av.CodecContext.create("h264" if codec == "h264" else "hevc", "r")
        decoder.thread_count = 1
        decoded[s] = 0
        for frame in sorted(frames):
            slot = frames[frame]
            k, n = slot["k"], slot["n"]
            if len(slot["parts"]) < k:
                continue
            have = sorted(slot["parts"])[:k]
            if n > k:
                # zfec wants every data part at its own place.
                order = [i for i in have if i >= k]
                order = [i if i in have else order.pop() for i in range(k)]
                parts = zfec.Decoder(k, n).decode([slot["parts"][i] for i in order], order)
            else:
                parts = [slot["parts"][i] for i in have]
            payload = b"".join(bytes(p) for p in parts)[: slot["total"]]
            try:
                decoded[s] += len(decoder.decode(av.Packet(payload)))
            except av.error.InvalidDataError:
                pass
        decoded[s] += len(decoder.decode(None))
    await pc.close()
    print(json.dumps(dict(decoded, frames=1 + max((f for s in got.values() for f in s), default=-1))))


async def main():
    what, url, codec, *rest = sys.argv[1:]
    async with aiohttp.ClientSession() as session:
        async with session.ws_connect(url, heartbeat=5 if what == "receive" else None) as ws:
            await ws.send_json({"type": "join", "role": "offer" if what == "send" else "answer"})
            if what == "send":
                await send(ws, codec, rest[0], rest[1], int(rest[2]))
            else:
                await receive(ws, codec)


asyncio.run(main())
