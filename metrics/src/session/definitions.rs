//! What every session value in `scores.json` means, under the name it has there.
//!
//! docs/METRICS.md shows this table and `scores.json` carries it; a test holds the three together.

/// Name of a field and its definition. N is the number of captured frames, T the time between captures; the *window* is
/// [`Window`](super::Window).
pub const SESSION_DEFINITIONS: [(&str, &str); 56] = [
    ("rendered", "slots that showed their own frame from complete data"),
    ("concealed", "slots that showed their own frame from partial data"),
    ("frozen", "slots in which the last picture stayed (or black, before the first)"),
    (
        "dropped_sender",
        "frames that the sender never sent; the last picture stays, and they are scored against it",
    ),
    (
        "causes",
        "why slots were not rendered: network (packets lost), late, decoder, sender (never sent, or dropped in part before the path), dependency (a frame it refers to), unknown (the system's events do not tell)",
    ),
    (
        "non_rendered_play_percent",
        "100 (frozen + dropped_sender) / N: frames that did not come on the screen in their slot; none: N = 0",
    ),
    (
        "non_rendered_of_sent_percent",
        "100 frozen / (N - dropped_sender), Reparo's base; none: nothing was sent",
    ),
    (
        "non_rendered_psnr_percent",
        "100 (frames whose displayed picture has a PSNR below 30 dB) / (frames with a PSNR), decided as on the integer squared error",
    ),
    ("non_rendered_psnr_curve", "the same for thresholds of 20 to 40 dB"),
    (
        "quality",
        "displayed picture against the picture captured for that slot: *all* counts every captured frame, a slot without a new picture with the one still on the screen (before any: black); *rendered* counts slots that showed their own frame",
    ),
    (
        "worst10",
        "mean of the ceil(0.1 n) worst frames of a run; a report's row pools the frames of all its runs first",
    ),
    ("percentiles", "of picture metrics: linear between closest ranks; of durations: nearest rank"),
    ("startup_ns", "capture of frame 0 to the first picture on the screen; none: no picture ever came"),
    ("never_rendered", "true if no picture ever came on the screen"),
    (
        "startup_penalised_ns",
        "startup_ns; if no picture ever came, the time from the capture of frame 0 to the end of the last slot (playout budget + N T)",
    ),
    (
        "freezes.w3c",
        "gap between new pictures >= max(3 A, A + 150 ms), A the mean of up to 30 gaps before (W3C webrtc-stats); sees neither the time before the first picture nor after the last, nor a gap with none before it",
    ),
    (
        "freezes.libwebrtc",
        "the same with the current gap in the window, whole milliseconds, from the 5th gap on (libwebrtc, VideoQualityObserver)",
    ),
    (
        "freezes.tambur",
        "gap > max(3 A, A + 150 ms), A the mean of exactly 30 gaps before; the first 31 pictures are not judged (Tambur, NSDI 2023)",
    ),
    (
        "freezes.revo",
        "every slot that repeats the picture of the slot before, neighbours counted as one freeze; before the first picture every slot (ReVo's display thread)",
    ),
    (
        "freezes.stall200",
        "more than 200 ms without a new picture (GRACE, NSDI 2024), the time from frame 0's due time to the first picture and from the last picture to the end of the session included; the headline, as it needs no earlier gap to judge by",
    ),
    (
        "frozen_runs",
        "runs of consecutive slots without a new picture; *terminal* is the one that ends the session, terminal_ns = terminal T",
    ),
    ("latency", "capture to the frame's own slot on the screen, frames that were shown only"),
    (
        "shown_ever_percent",
        "100 (frames that were on the screen in a slot of their own) / N, however late a clock of the system's own let that be",
    ),
    (
        "shown_within_percent",
        "100 (frames whose slot, showing themselves, was at most so many milliseconds after their capture) / N",
    ),
    ("latency_penalised", "the same over all N frames, 300 ms for a frame never shown"),
    ("decoded_latency", "capture to the end of decoding, whenever that was"),
    ("encode_time", "capture to the end of encoding"),
    ("decode_time", "complete to the end of decoding, frames decoded after they were complete"),
    (
        "media_bps",
        "encoded bytes of the N frames, bits per second of the window; none: the system reports no encoded frames",
    ),
    (
        "data_bps",
        "source packets handed to the transport in the window, with the system's own headers; none: the system reports no sent packets",
    ),
    ("parity_bps", "repair packets likewise"),
    ("repeat_bps", "second copies and retransmissions likewise"),
    ("payload_bps", "everything handed to the transport in the window, set-up and control included"),
    ("with_headers_bps", "payload_bps with 28 bytes of IPv4 and UDP header per packet"),
    ("wire_bps", "IP packets that entered the forward path in the window; none: no ledger of the path"),
    ("reverse_wire_bps", "IP packets that entered the path back in the window"),
    (
        "redundancy",
        "parity bytes / data bytes of the window; none: the system reports no sent packets, or no data was sent",
    ),
    ("redundancy_with_repeats", "(parity + repeat bytes) / data bytes of the window"),
    ("payload_before_bytes", "bytes handed to the transport before the window (set-up), in no rate"),
    ("payload_after_bytes", "bytes handed to the transport after the window (tail), in no rate"),
    ("frame_bytes_p50", "encoded size of a captured frame, all streams together: median"),
    ("frame_bytes_p95", "the same: 95th percentile"),
    ("frame_bytes_max", "the same: largest"),
    ("packets", "packets that entered this direction of the path in the window"),
    ("bytes", "their bytes (IP)"),
    ("delivered", "those of them that came out intact, whenever that was"),
    (
        "drops",
        "those that did not, by cause; corrupted: came out damaged, and the receiver's kernel discards it by UDP's checksum",
    ),
    ("realised_loss", "(packets - delivered) / packets; none: no packet entered"),
    (
        "lost_at_sender",
        "packets that the system dropped by a loss model of its own before they were sent, by its own word, in the window; share: of those and of the packets it sent; in no ledger and no loss of a path",
    ),
    ("states", "packets that met each state of the channel"),
    ("delay", "time in the path of the packets that came out intact"),
    ("before", "packets that entered before the window (set-up): counted here and nowhere else"),
    ("after", "packets that entered after the window (tail): counted here and nowhere else"),
    (
        "capture_lateness",
        "capture of each frame against the frame clock (capture start + i T), in namespaces",
    ),
    ("emulator_lateness", "how late packets left the emulator against the model, in namespaces"),
    (
        "aggregation",
        "mean over the frames of a run, then mean over runs; the unit of replication is clip x trace x seed, never the frame",
    ),
];
