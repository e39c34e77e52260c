"""VP8 over RTP by GStreamer's elements: rtpbin, rtpulpfecenc and rtpulpfecdec. RTP on the ports that the harness gives, RTCP one above."""
import os, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import ff, gi
for module in ("Gst", "GstRtp"):
    gi.require_version(module, "1.0")
from gi.repository import GLib, Gst, GstRtp

VP8, FEC = 96, 122
Gst.init(None)
end = ff.End()
redundancy = end.option("redundancy_percent", 50)
threading.Thread(target=GLib.MainLoop().run, daemon=True).start()


def play(description):
    pipeline = Gst.parse_launch(description)
    def message(_, m):
        if m.type == Gst.MessageType.ERROR:
            end.log("error:", *m.parse_error())
            os._exit(1)
    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message", message)
    return pipeline


def rtcp(role):
    """Reports, on the port above that of the media."""
    return f"""rb.send_rtcp_{role}_0 ! udpsink host={end.peer[0]} port={end.peer[1] + 1} bind-address={end.local[0]}
               bind-port={end.local[1] + 2} sync=false async=false
               udpsrc address={end.local[0]} port={end.local[1] + 1} caps=application/x-rtcp ! rb.recv_rtcp_sink_0"""


def send():
    pictures = end.pictures()
    kbps = end.target_kbps(500, redundancy)
    pipeline = play(f"""
        rtpbin name=rb rtp-profile=avpf
        appsrc name=camera is-live=true format=time caps=video/x-raw,format=I420,width={end.width},height={end.height},framerate={end.fps}/1 !
        vp8enc deadline=1 cpu-used=8 threads=1 target-bitrate={kbps * 1000} end-usage=cbr keyframe-max-dist=100000 lag-in-frames=0 !
        rtpvp8pay pt={VP8} mtu=1200 picture-id-mode=15-bit timestamp-offset=0 !
        rtpulpfecenc pt={FEC} percentage={redundancy} percentage-important=100 ! rb.send_rtp_sink_0
        rb.send_rtp_src_0 ! udpsink host={end.peer[0]} port={end.peer[1]} bind-address={end.local[0]} bind-port={end.local[1]} sync=false async=false
        {rtcp("src")}""")
    # What the packets are, for the harness, too.
    fec = f" {FEC}" if redundancy else ""
    end.signal(sdp=f"v=0\r\no=- 0 0 IN IP4 {end.local[0]}\r\ns=-\r\nc=IN IP4 {end.local[0]}\r\nt=0 0\r\nm=video {end.local[1]} RTP/AVPF {VP8}{fec}\r\n"
                   f"a=rtpmap:{VP8} VP8/90000\r\na=rtcp-fb:{VP8} nack pli\r\n" + (f"a=rtpmap:{FEC} ulpfec/90000\r\n" if redundancy else ""))
    pipeline.set_state(Gst.State.PLAYING)
    camera = pipeline.get_by_name("camera")
    end.ready_and_wait()
    for frame, picture in enumerate(pictures):
        end.sleep_until(end.captured_ns(frame))
        buffer = Gst.Buffer.new_wrapped(picture)
        buffer.pts, buffer.duration = frame * Gst.SECOND // end.fps, Gst.SECOND // end.fps
        end.event(ff.now(), "captured", frame=frame)
        camera.emit("push-buffer", buffer)
    end.wait_end()
    pipeline.set_state(Gst.State.NULL)


def receive():
    screen = ff.Screen(end)
    # A packet is given up, or made from repair, this long after its time; what comes out of the decoder is shown at the budget.
    latency = max(20, (end.budget or 200_000_000) // 1_000_000 - 50)
    video = f"application/x-rtp,media=video,clock-rate=90000,encoding-name=VP8,payload={VP8},rtcp-fb-nack-pli=true,rtcp-fb-ccm-fir=true"
    pipeline = play(f"""
        rtpbin name=rb latency={latency} do-lost=true rtp-profile=avpf
        udpsrc address={end.local[0]} port={end.local[1]} buffer-size=4000000 caps="{video}" ! rb.recv_rtp_sink_0
        {rtcp("src")}
        rtpvp8depay name=depay wait-for-keyframe=false request-keyframe=true ! vp8dec automatic-request-sync-points=true !
        videoconvert ! videoscale ! video/x-raw,format=I420,width={end.width},height={end.height} !
        appsink name=screen sync=false max-buffers=300""")
    rtpbin, depay = pipeline.get_by_name("rb"), pipeline.get_by_name("depay")
    decoders = []
    if redundancy:
        rtpbin.emit("get-storage", 0).set_property("size-time", 2 * latency * Gst.MSECOND)
        def decoder(bin, session):
            element = Gst.ElementFactory.make("rtpulpfecdec")
            element.set_property("pt", FEC)
            element.set_property("storage", bin.emit("get-internal-storage", session))
            decoders.append(element)
            return element
        rtpbin.connect("request-fec-decoder", decoder)
    other = "application/x-rtp,media=video,clock-rate=90000,encoding-name=ULPFEC,payload="
    rtpbin.connect("request-pt-map", lambda _bin, _session, pt: Gst.Caps.from_string(video if pt == VP8 else f"{other}{pt}"))
    def pad_added(_, pad):
        name = pad.get_name()
        if name.startswith("recv_rtp_src_") and name.endswith(f"_{VP8}"):
            pad.link(depay.get_static_pad("sink"))
        elif name.startswith("recv_rtp_src_"):
            drain = Gst.ElementFactory.make("fakesink")
            drain.set_property("sync", False)
            drain.set_property("async", False)
            pipeline.add(drain)
            drain.sync_state_with_parent()
            pad.link(drain.get_static_pad("sink"))
    rtpbin.connect("pad-added", pad_added)
    # The decoder keeps the time of what it is fed; the RTP timestamp says which frame that is.
    frame_at = {}
    def packet(_, info):
        buffer = info.get_buffer()
        mapped, rtp = GstRtp.RTPBuffer.map(buffer, Gst.MapFlags.READ)
        if mapped:
            frame_at[buffer.pts] = round(rtp.get_timestamp() * end.fps / 90_000)
            rtp.unmap()
        return Gst.PadProbeReturn.OK
    depay.get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, packet)
    sink = pipeline.get_by_name("screen")
    def pull():
        while (sample := sink.emit("pull-sample")) is not None:
            buffer = sample.get_buffer()
            frame = frame_at.get(buffer.pts)
            if frame is not None:
                screen.show(frame, buffer.extract_dup(0, buffer.get_size()))
    pipeline.set_state(Gst.State.PLAYING)
    threading.Thread(target=pull, daemon=True).start()  # a sink that does not play yet has nothing to pull, and says so
    end.ready_and_wait()
    end.wait_end()
    for element in decoders:
        end.log("ULPFEC recovered", element.get_property("recovered"), "packets, could not", element.get_property("unrecovered"))
    pipeline.set_state(Gst.State.NULL)
    screen.write()


send() if end.part == "send" else receive()
os._exit(end.finish())
