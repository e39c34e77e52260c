"""A call between two aiortc: both ends connect before they say `ready`, a still flows in the warm-up, then the clip."""
import asyncio, fractions, os, sys
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import ff
import aiortc.codecs.vpx as vpx
import aiortc.rtcrtpreceiver
import aiortc.rtcrtpsender
from aiortc import RTCConfiguration, RTCPeerConnection, RTCRtpSender, RTCSessionDescription, VideoStreamTrack
from aiortc.mediastreams import MediaStreamError
from av import VideoFrame

TICKS = 90_000
end = ff.End()
kbps = end.target_kbps(500)
# aiortc has no setting for the rate; these are what its encoder starts from and keeps to.
vpx.DEFAULT_BITRATE = vpx.MAX_BITRATE = kbps * 1000
vpx.MIN_BITRATE = min(vpx.MIN_BITRATE, kbps * 1000)


def frame_of(picture, ticks):
    frame = VideoFrame(end.width, end.height, "yuv420p")
    at = 0
    for plane, (w, h) in zip(frame.planes, [(end.width, end.height), *[(end.width // 2, end.height // 2)] * 2]):
        rows = [picture[at + y * w:at + (y + 1) * w].ljust(plane.line_size, b"\0") for y in range(h)]
        plane.update(b"".join(rows).ljust(plane.buffer_size, b"\0"))
        at += w * h
    frame.pts, frame.time_base = ticks, fractions.Fraction(1, TICKS)
    return frame


def picture_of(frame):
    frame = frame.reformat(end.width, end.height, "yuv420p")
    out = []
    for plane, (w, h) in zip(frame.planes, [(end.width, end.height), *[(end.width // 2, end.height // 2)] * 2]):
        data = bytes(plane)
        out.extend(data[y * plane.line_size:y * plane.line_size + w] for y in range(h))
    return b"".join(out)


class Camera(VideoStreamTrack):
    """A still until frame 0, then the clip, then nothing. The first stills come only when the channel begins."""

    def __init__(self, pictures):
        super().__init__()
        self.pictures, self.next = pictures, None

    async def recv(self):
        await asyncio.to_thread(end.started.wait)
        if self.next is None:
            self.warm = (end.first_ns - end.channel_ns) * end.fps // 1_000_000_000
            self.next = -self.warm
        frame, self.next = self.next, self.next + 1
        if frame >= end.frames:
            await asyncio.sleep(3600)
        await asyncio.sleep(max(0, (end.captured_ns(frame) - ff.now()) / 1e9))
        if frame >= 0:
            end.event(ff.now(), "captured", frame=frame)
        return frame_of(self.pictures[max(0, frame)], (frame + self.warm) * TICKS // end.fps)


async def main():
    call = RTCPeerConnection(RTCConfiguration(iceServers=[]))
    loop, signals, connected = asyncio.get_running_loop(), asyncio.Queue(), asyncio.Event()
    end.on_signal(lambda m: loop.call_soon_threadsafe(signals.put_nowait, m))
    def state():
        end.log("connection:", call.connectionState)
        if call.connectionState == "connected":
            connected.set()
        elif call.connectionState == "failed":
            os._exit(1)
    call.on("connectionstatechange", state)
    screen = ff.Screen(end)
    if end.part == "send":
        call.addTrack(Camera(end.pictures()))
        transceiver = call.getTransceivers()[0]
        known = RTCRtpSender.getCapabilities("video").codecs
        transceiver.setCodecPreferences([c for c in known if c.mimeType in ("video/VP8", "video/rtx")])
        transceiver.direction = "sendonly"
        await call.setLocalDescription(await call.createOffer())
        end.signal(sdp=call.localDescription.sdp)
        answer = await signals.get()
        # Timestamps begin at 0 instead of anywhere, so that the receiver can tell frames by them.
        aiortc.rtcrtpsender.random32 = lambda: 0
        await call.setRemoteDescription(RTCSessionDescription(answer["sdp"], "answer"))
    else:
        aiortc.rtcrtpreceiver.TimestampMapper.map = lambda self, timestamp: timestamp
        async def watch(track):
            try:
                while True:
                    frame = await track.recv()
                    warm = (end.first_ns - end.channel_ns) * end.fps // 1_000_000_000
                    screen.show(round(frame.pts * end.fps / TICKS) - warm, picture_of(frame))
            except MediaStreamError:
                pass
        call.on("track", lambda track: asyncio.ensure_future(watch(track)))
        offer = await signals.get()
        await call.setRemoteDescription(RTCSessionDescription(offer["sdp"], "offer"))
        await call.setLocalDescription(await call.createAnswer())
        end.signal(sdp=call.localDescription.sdp)
    await connected.wait()
    end.say(type="ready")
    await asyncio.to_thread(end.started.wait)
    await asyncio.to_thread(end.wait_end)
    if end.part == "receive":
        screen.write()
    os._exit(end.finish())


asyncio.run(main())
