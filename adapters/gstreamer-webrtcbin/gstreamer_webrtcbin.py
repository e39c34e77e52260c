"""A call between two webrtcbin: both ends connect before they say `ready`, a still flows in the warm-up, then the clip."""
import os, sys, threading
sys.path.insert(0, os.path.join(os.path.dirname(os.path.abspath(__file__)), ".."))
import ff, gi
for module in ("Gst", "GstRtp", "GstSdp", "GstVideo", "GstWebRTC"):
    gi.require_version(module, "1.0")
from gi.repository import GLib, Gst, GstRtp, GstSdp, GstVideo, GstWebRTC

TICKS = 90_000
Gst.init(None)
end = ff.End()
redundancy, nack = end.option("redundancy_percent", 50), bool(end.option("nack", 0))
connected, KEPT = threading.Event(), []
threading.Thread(target=GLib.MainLoop().run, daemon=True).start()


def description(text, kind):
    _, message = GstSdp.SDPMessage.new()
    GstSdp.sdp_message_parse_buffer(text.encode(), message)
    return GstWebRTC.WebRTCSessionDescription.new(kind, message)


def wire_up(pipeline, webrtc):
    def message(_, m):
        if m.type == Gst.MessageType.ERROR:
            end.log("error:", *m.parse_error())
            os._exit(1)
    bus = pipeline.get_bus()
    bus.add_signal_watch()
    bus.connect("message", message)
    # UDP alone, and no search for a router that opens ports (UPnP).
    ice = webrtc.get_property("ice-agent")
    KEPT.append(ice)  # its only reference would go with this one
    ice.get_property("agent").set_properties(ice_tcp=False, upnp=False)
    webrtc.connect("on-ice-candidate", lambda _, line, candidate: end.signal(candidate=candidate, line=line))
    def state(*_):
        value = webrtc.get_property("connection-state")
        end.log("connection:", value.value_nick)
        if value == GstWebRTC.WebRTCPeerConnectionState.CONNECTED:
            connected.set()
        elif value == GstWebRTC.WebRTCPeerConnectionState.FAILED:
            os._exit(1)
    webrtc.connect("notify::connection-state", state)


def made(promise, name):
    reply = promise.get_reply()  # what is in it lives as long as it does
    return reply, reply.get_value(name)


def protect(transceiver):
    if redundancy:
        transceiver.set_property("fec-type", GstWebRTC.WebRTCFECType.ULP_RED)
        transceiver.set_property("fec-percentage", redundancy)
    transceiver.set_property("do-nack", nack)


def send():
    pictures = end.pictures()
    kbps = end.target_kbps(500, redundancy)
    pipeline = Gst.parse_launch(f"""
        webrtcbin name=w bundle-policy=max-bundle
        appsrc name=camera is-live=true format=time caps=video/x-raw,format=I420,width={end.width},height={end.height},framerate={end.fps}/1 !
        vp8enc name=encoder deadline=1 cpu-used=8 threads=1 target-bitrate={kbps * 1000} end-usage=cbr keyframe-max-dist=100000 lag-in-frames=0 !
        rtpvp8pay pt=96 mtu=1150 picture-id-mode=15-bit timestamp-offset=0 !
        application/x-rtp,media=video,encoding-name=VP8,payload=96,clock-rate={TICKS} ! w.""")
    webrtc, camera = pipeline.get_by_name("w"), pipeline.get_by_name("camera")
    wire_up(pipeline, webrtc)
    transceiver = webrtc.emit("get-transceiver", 0)
    transceiver.set_property("direction", GstWebRTC.WebRTCRTPTransceiverDirection.SENDONLY)
    protect(transceiver)
    def offer(promise, *_):
        reply, value = made(promise, "offer")
        text = value.sdp.as_text()
        webrtc.emit("set-local-description", value, Gst.Promise.new())
        end.signal(offer=text)
    webrtc.connect("on-negotiation-needed", lambda _: webrtc.emit("create-offer", None, Gst.Promise.new_with_change_func(offer)))
    def signal(m):
        if "answer" in m:
            webrtc.emit("set-remote-description", description(m["answer"], GstWebRTC.WebRTCSDPType.ANSWER), Gst.Promise.new())
        elif "candidate" in m:
            webrtc.emit("add-ice-candidate", m["line"], m["candidate"])
    end.on_signal(signal)
    begun = ff.now()
    pipeline.set_state(Gst.State.PLAYING)
    def push(picture, ticks):
        buffer = Gst.Buffer.new_wrapped(picture)
        buffer.pts, buffer.duration = ticks * Gst.SECOND // TICKS, Gst.SECOND // end.fps
        camera.emit("push-buffer", buffer)
    since = lambda at_ns: (at_ns - begun) * TICKS // 1_000_000_000
    # webrtcbin offers only once it knows what it will send: black, which is small, before there is anybody to send it to.
    black = bytes([16]) * (end.width * end.height) + bytes([128]) * (end.width * end.height // 2)
    while not connected.wait(0.2):
        push(black, since(ff.now()))
    end.ready_and_wait()
    first = since(end.first_ns)
    end.signal(first_frame=first)
    step = TICKS // end.fps
    warm = (end.first_ns - end.channel_ns) * end.fps // 1_000_000_000
    for frame in range(-warm, end.frames):
        end.sleep_until(end.captured_ns(frame))
        if frame == -warm:
            event = GstVideo.video_event_new_upstream_force_key_unit(Gst.CLOCK_TIME_NONE, True, 0)
            pipeline.get_by_name("encoder").get_static_pad("src").send_event(event)
        if frame >= 0:
            end.event(ff.now(), "captured", frame=frame)
        push(pictures[max(0, frame)], first + frame * step)
    end.wait_end()
    os._exit(end.finish())  # two webrtcbin that are taken down tell each other so; there is nobody left to care


def receive():
    screen = ff.Screen(end)
    latency = max(20, (end.budget or 200_000_000) // 1_000_000 - 50)
    pipeline = Gst.Pipeline.new(None)
    webrtc = Gst.parse_launch(f"webrtcbin name=w bundle-policy=max-bundle latency={latency}")
    pipeline.add(webrtc)
    wire_up(pipeline, webrtc)
    first, frame_at = {}, {}
    def pad_added(_, pad):
        if pad.get_direction() != Gst.PadDirection.SRC:
            return
        decode = Gst.parse_bin_from_description(f"""
            rtpvp8depay name=depay request-keyframe=true ! vp8dec automatic-request-sync-points=true ! videoconvert ! videoscale !
            video/x-raw,format=I420,width={end.width},height={end.height} ! appsink name=screen sync=false max-buffers=300""", True)
        def packet(_, info):
            buffer = info.get_buffer()
            mapped, rtp = GstRtp.RTPBuffer.map(buffer, Gst.MapFlags.READ)
            if mapped:
                frame_at[buffer.pts] = rtp.get_timestamp()
                rtp.unmap()
            return Gst.PadProbeReturn.OK
        decode.get_by_name("depay").get_static_pad("sink").add_probe(Gst.PadProbeType.BUFFER, packet)
        pipeline.add(decode)
        decode.sync_state_with_parent()
        pad.link(decode.get_static_pad("sink"))
        sink = decode.get_by_name("screen")
        def pull():
            while (sample := sink.emit("pull-sample")) is not None:
                buffer = sample.get_buffer()
                ticks = frame_at.get(buffer.pts)
                if ticks is not None and "ticks" in first:
                    frame = (ticks - first["ticks"]) * end.fps / TICKS
                    screen.show(round(frame), buffer.extract_dup(0, buffer.get_size()))
        threading.Thread(target=pull, daemon=True).start()
    webrtc.connect("pad-added", pad_added)
    webrtc.connect("on-new-transceiver", lambda _, transceiver: protect(transceiver))
    def answer(promise, *_):
        reply, value = made(promise, "answer")
        text = value.sdp.as_text()
        webrtc.emit("set-local-description", value, Gst.Promise.new())
        end.signal(answer=text)
    def signal(m):
        if "offer" in m:
            then = lambda *_: webrtc.emit("create-answer", None, Gst.Promise.new_with_change_func(answer))
            offer = description(m["offer"], GstWebRTC.WebRTCSDPType.OFFER)
            webrtc.emit("set-remote-description", offer, Gst.Promise.new_with_change_func(then))
        elif "candidate" in m:
            webrtc.emit("add-ice-candidate", m["line"], m["candidate"])
        elif "first_frame" in m:
            first["ticks"] = m["first_frame"]
    end.on_signal(signal)
    pipeline.set_state(Gst.State.PLAYING)
    connected.wait()
    end.ready_and_wait()
    end.wait_end()
    screen.write()
    os._exit(end.finish())


send() if end.part == "send" else receive()
