"""GStreamer's ULPFEC as an outside program for fec_interop.rs.

    decode: RTP packets in RED as hex lines in, the media packets that come out of rtpulpfecdec as hex lines out
    encode: RTP media packets as hex lines in, packets of rtpulpfecenc in RED as hex lines out
"""
import sys
import gi

gi.require_version("Gst", "1.0")
gi.require_version("GstApp", "1.0")
from gi.repository import Gst, GstApp

Gst.init(None)
CAPS = ("application/x-rtp,media=video,clock-rate=90000,encoding-name=VP8,payload=%d,ssrc=(uint)%d"
        % ({"decode": 97, "encode": 96}[sys.argv[1]], 0x12345678))
CHAIN = {
    "decode": "rtpreddec pt=97 ! rtpstorage name=storage size-time=10000000000"
              " ! rtpjitterbuffer name=jitter do-lost=true latency=300 ! rtpulpfecdec name=fec pt=98",
    "encode": "rtpulpfecenc pt=98 percentage=50 ! rtpredenc pt=97 allow-no-red-blocks=true",
}[sys.argv[1]]

pipeline = Gst.parse_launch(
    f"appsrc name=in format=time is-live=true do-timestamp=true ! {CHAIN} ! appsink name=out sync=false")
pipeline.get_by_name("in").set_property("caps", Gst.Caps.from_string(CAPS))
if sys.argv[1] == "decode":
    fec = pipeline.get_by_name("fec")
    fec.set_property("storage", pipeline.get_by_name("storage").get_property("internal-storage"))
    # rtpreddec's caps have no clock rate; the jitter buffer asks per payload type.
    caps = "application/x-rtp,media=video,clock-rate=90000,payload=%d"
    pipeline.get_by_name("jitter").connect("request-pt-map", lambda _, pt: Gst.Caps.from_string(caps % pt))
pipeline.set_state(Gst.State.PLAYING)
source, sink = pipeline.get_by_name("in"), pipeline.get_by_name("out")
import time
for line in sys.stdin:
    source.emit("push-buffer", Gst.Buffer.new_wrapped(bytes.fromhex(line.strip())))
time.sleep(1.5)  # the jitter buffer gives up missing packets by the clock
source.emit("end-of-stream")
while True:
    sample = sink.emit("try-pull-sample", 2 * Gst.SECOND)
    if sample is None:
        break
    buffer = sample.get_buffer()
    print(buffer.extract_dup(0, buffer.get_size()).hex())
pipeline.set_state(Gst.State.NULL)
