//! The rules of the contract, each with the codes under which a run breaks it and what to do then.

/// One rule of docs/PLUGIN.md.
#[derive(Debug)]
pub struct Rule {
    /// What is asked for.
    pub text: &'static str,
    /// Codes of failures and findings that say it was broken.
    pub codes: &'static [&'static str],
    /// What to do.
    pub remedy: &'static str,
    /// Only in real time.
    pub real_time: bool,
}

const fn both(text: &'static str, codes: &'static [&'static str], remedy: &'static str) -> Rule {
    Rule { text, codes, remedy, real_time: false }
}

const fn live(text: &'static str, codes: &'static [&'static str], remedy: &'static str) -> Rule {
    Rule { text, codes, remedy, real_time: true }
}

/// In the order in which a run meets them.
pub const RULES: &[Rule] = &[
    live(
        "both ends say `ready`",
        &["never_ready"],
        "print {\"type\":\"ready\"} and flush; ready_timeout_s of the manifest is how long they may take",
    ),
    live(
        "a camera of its own says `capturing` in time (manifest: capturing)",
        &["never_capturing", "bad_capturing"],
        "print {\"type\":\"capturing\",\"frame0_ns\":N} when frame 0 is captured, N by CLOCK_MONOTONIC, within 10 s from capture_start_ns on",
    ),
    both(
        "the scenario is supported, or exit code 127 says not",
        &["unsupported"],
        "exit with 127 only for a scenario that the program cannot do",
    ),
    both(
        "every process ends with exit code 0",
        &["system_failed", "failed"],
        "see its log in the directory below",
    ),
    both(
        "it ends by itself or when told to `stop`, in time",
        &["hangs", "time_limit"],
        "end after the last slot, or when {\"type\":\"stop\"} comes; limits.stop_s and limits.simulate_s of the manifest",
    ),
    both(
        "it keeps to its limits",
        &[
            "memory_limit",
            "process_limit",
            "disk_limit",
            "events_limit",
            "stdout_limit",
            "stderr_limit",
            "packet_flood",
        ],
        "use less, or raise it in [limits] of the manifest",
    ),
    both(
        "it leaves the files of the contract, plain ones",
        &["file_missing", "bad_file"],
        "write events.sender.jsonl and events.receiver.jsonl (events.jsonl and fates.jsonl in virtual time) into RUN_DIR",
    ),
    both(
        "every line of its events is one",
        &["bad_events"],
        "`freezeframe system schema event` says what a line may be",
    ),
    live(
        "signals are few and small",
        &["signal_traffic", "server_traffic"],
        "media belongs on the path; limits.signals, limits.signal_kb of the manifest",
    ),
    live(
        "of an app the screen shows the camera's pictures, with this run's marker (manifest: kind)",
        &[
            "screen_broken",
            "unmarked_pictures",
            "marker_contradicted",
            "screen_unreadable",
            "screen_went_back",
            "frames_flashed",
        ],
        "show the received picture unscaled at the top left, from the first one to the end, each until the next; see the logs in the directory below",
    ),
    both(
        "before the channel begins there is no more than a handshake",
        &["setup_traffic"],
        "send media only in warm_s and after; limits.setup_kb of the manifest",
    ),
    live(
        "nothing but UDP crosses, unless allowed",
        &["unexpected_traffic"],
        "turn TCP candidates off, or write allow = [\"tcp\"] in the manifest",
    ),
    both(
        "every frame is captured, at its time",
        &["never_captured", "capture_off_schedule", "captured_early"],
        "frame i is captured at capture_start_ns + i / fps; write `captured` with that time, or with when it really was",
    ),
    both(
        "events are told by the end that saw them, in possible order, within the run",
        &["wrong_side", "times_reversed", "events_from_the_future", "beyond_clip"],
        "t_ns is nanoseconds since epoch_ns, on CLOCK_MONOTONIC; `captured`, `encoded`, `sent` are the sender's",
    ),
    both(
        "every frame has one slot, in order",
        &["slots_missing", "slots_repeated", "slots_out_of_order", "shown_before_capture"],
        "write one `slot` per captured frame, frozen ones too",
    ),
    both(
        "slots keep to the play-out budget",
        &["budget_not_kept"],
        "the slot of frame i is at its capture + playout_ns; a program with a jitter buffer says playout = \"adaptive\" in its manifest",
    ),
    both(
        "slots show what they say",
        &[
            "shows_other",
            "shows_future",
            "shows_later",
            "picture_differs",
            "redecode_differs",
            "still_called_shown",
            "frozen_shows_other",
            "frozen_store_differs",
        ],
        "`shown` is the captured frame that is on the screen; rendered and concealed slots show their own, frozen ones what was there before",
    ),
    both(
        "there is one picture per slot",
        &["store_missing", "store_lacks", "store_surplus"],
        "write rendered.rgb.y4m (or .mkv, .units) with one picture per slot, a frozen slot's once more",
    ),
    both(
        "what is shown came over the path",
        &[
            "nothing_sent",
            "shown_without_packets",
            "decoded_without_packets",
            "better_than_delivered",
            "received_more_than_delivered",
            "much_outside",
        ],
        "send every frame from its capture on, through the sockets of --local and --peer",
    ),
    both(
        "packets are told as the path saw them",
        &[
            "never_sent",
            "ledger_differs",
            "left_before_entered",
            "more_entered_than_sent",
            "less_entered_than_sent",
            "dropped_yet_sent",
        ],
        "write `sent` for every packet with its bytes; `received` names a packet by the frame, role and index under which it was `sent`",
    ),
    both(
        "in virtual time packets go through the link model",
        &["ledger_not_the_models"],
        "write what `$FREEZEFRAME link --run RUN_DIR` prints into fates.jsonl, unchanged",
    ),
    live(
        "the harness can read its packets (manifest: wire)",
        &["wire_not_read"],
        "exchange session descriptions (SDP) by `signal`, and send what they say: timestamps that tick at their clock, media, repair and retransmissions under their payload types",
    ),
];

/// Findings that say nothing about the system.
pub const NOT_THE_SYSTEMS: &[&str] = &["no_loss", "metric_missing", "not_isolated"];

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeMap;

    /// Every code that the sources can give is in one rule.
    #[test]
    fn every_code_has_a_rule() {
        let mut ruled: BTreeMap<&str, u32> = BTreeMap::new();
        for code in RULES.iter().flat_map(|r| r.codes).chain(NOT_THE_SYSTEMS) {
            *ruled.entry(code).or_default() += 1;
        }
        assert!(ruled.values().all(|n| *n == 1), "{ruled:?}");
        let sources = [
            include_str!("../../record/finding.rs"),
            include_str!("../../launch/lab.rs"),
            include_str!("../../launch/child.rs"),
            include_str!("../../launch/files.rs"),
            include_str!("../../launch/simulated.rs"),
            include_str!("../../record/rtp/mod.rs"),
        ];
        let word = |text: &str| {
            let end = text.find('"')?;
            let word = &text[..end];
            (word.contains('_') && word.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'))
                .then(|| word.to_owned())
        };
        let mut seen = 0;
        for source in sources {
            for start in ["=> \"", "error(\"", "Some((\"", "code: \"", "over(\""] {
                for (at, _) in source.match_indices(start) {
                    let Some(code) = word(&source[at + start.len()..]) else { continue };
                    seen += 1;
                    assert!(ruled.contains_key(code.as_str()), "{code} is in no rule");
                }
            }
        }
        assert!(seen > 40, "only {seen} codes were found in the sources");
    }
}
