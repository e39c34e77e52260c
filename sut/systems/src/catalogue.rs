//! The systems by name.

use crate::identity::video;
use crate::session::Mode;
use crate::{revo, ringmaster, rtp_video, vp8_flexfec, vp8_ulpfec, vp9_tambur};
use anyhow::{Result, bail};
use codecs::registry::{H264, H265, VP8, VP9};
use contract::RunSpec;
use contract::identity::DependsOn;
use link::LossSpec;
use std::path::Path;

/// A system under test.
#[derive(Clone, Copy, Debug)]
pub struct System {
    /// Name on the command line and in tables.
    pub name: &'static str,
    /// One line.
    pub about: &'static str,
    /// Options that have an effect only with `playout = "own"`.
    pub own_clock: &'static [&'static str],
    /// Its options, completed, and what they imply.
    pub describe: fn(&toml::Table) -> Result<Description>,
    /// What its results depend on besides this program and these options.
    pub depends_on: fn(&toml::Table) -> Result<DependsOn>,
    /// Runs it.
    pub run: fn(&Mode, &Path, &RunSpec) -> Result<()>,
}

/// What a system says of itself before a run.
#[derive(Clone, Debug, PartialEq, serde::Serialize)]
pub struct Description {
    /// Milliseconds it needs between the run's start and the first capture.
    pub setup_ms: u64,
    /// Every option with its value.
    pub options: toml::Table,
}

/// Every system without networks.
pub const SYSTEMS: &[System] = &[
    System {
        name: "revo-h264",
        about: "ReVo: RGB + depth, H.264, parity on key frames, deadline-driven assembly",
        own_clock: revo::OWN_CLOCK,
        describe: |options| revo::describe(options, &H264),
        depends_on: |options| revo::depends_on(options, &H264),
        run: |mode, dir, spec| revo::run(mode, dir, spec, &H264),
    },
    System {
        name: "revo-h265",
        about: "ReVo: RGB + depth, H.265, parity on key frames, deadline-driven assembly",
        own_clock: revo::OWN_CLOCK,
        describe: |options| revo::describe(options, &H265),
        depends_on: |options| revo::depends_on(options, &H265),
        run: |mode, dir, spec| revo::run(mode, dir, spec, &H265),
    },
    System {
        name: vp9_tambur::NAME,
        about: "Tambur on Ringmaster: VP9, streaming code over four frames",
        own_clock: &[],
        describe: vp9_tambur::describe,
        depends_on: |_| video(&VP9),
        run: vp9_tambur::run,
    },
    System {
        name: ringmaster::NAME,
        about: "Ringmaster: VP9, datagrams sent again when acknowledgements overtake them, no FEC",
        own_clock: &[],
        describe: ringmaster::describe,
        depends_on: |_| video(&VP9),
        run: ringmaster::run,
    },
    System {
        name: vp8_ulpfec::NAME,
        about: "VP8 over RTP with ULPFEC in RED",
        own_clock: rtp_video::OWN_CLOCK,
        describe: vp8_ulpfec::describe,
        depends_on: |_| video(&VP8),
        run: vp8_ulpfec::run,
    },
    System {
        name: vp8_flexfec::NAME,
        about: "VP8 over RTP with FlexFEC in a stream of its own",
        own_clock: rtp_video::OWN_CLOCK,
        describe: vp8_flexfec::describe,
        depends_on: |_| video(&VP8),
        run: vp8_flexfec::run,
    },
];

/// The system of that name.
#[must_use]
pub fn find(name: &str) -> Option<&'static System> {
    SYSTEMS.iter().find(|s| s.name == name)
}

impl System {
    /// Refuses options of a run that nothing would consume.
    ///
    /// # Errors
    /// Names the option and the remedy.
    pub fn check(&self, spec: &RunSpec) -> Result<()> {
        let unused = self.own_clock.iter().find(|name| spec.options.contains_key(**name));
        if let (Some(name), Some(_)) = (unused, spec.scenario.playout.budget()) {
            bail!(
                "option {name} belongs to the system's own clock, and the play-out of this run is fixed ({}); leave it out, or \
                 write playout = \"own\" in the scenario",
                spec.scenario.playout
            );
        }
        let channel = spec.options.get("channel").and_then(toml::Value::as_str).unwrap_or_default();
        if channel.starts_with("sender") && spec.scenario.forward.loss != LossSpec::None {
            bail!(
                "option channel={channel} loses packets in the sender, and the scenario {} on the path, so that they would be lost \
                 twice; take a scenario without loss, such as clean, or channel=network",
                spec.scenario.name
            );
        }
        Ok(())
    }
}

#[cfg(test)]
mod option_tests {
    use super::*;

    /// Each of these once made an endpoint panic, or a call that never ends.
    #[test]
    fn options_that_cannot_work_are_refused_by_name() {
        for (system, option, value) in [
            ("revo-h264", "chunk_size", 0),
            ("revo-h264", "chunk_size", 1500),
            ("revo-h264", "gop", 0),
            ("revo-h265", "qp", 99),
            ("revo-h264", "slices", 0),
            ("revo-h264", "slack_ms", i64::MAX),
            ("vp9-tambur", "key_after_frames", i64::MAX),
            ("vp9-tambur", "key_after_ms", i64::MAX),
            ("vp9-tambur", "target_kbps", 0),
            ("vp9-ringmaster", "target_kbps", 0),
            ("vp8-ulpfec", "pacing_percent", 1),
            ("vp8-flexfec", "playout_delay_ms", 6000),
        ] {
            let table = [(option.to_owned(), toml::Value::Integer(value))].into_iter().collect();
            let system = find(system).expect("a system");
            let refused = (system.describe)(&table).expect_err(option);
            assert!(format!("{refused:#}").contains(option), "{refused:#}");
        }
    }

    /// Parameters of a channel in the sender mean nothing without it, and with it all four stand in the record.
    #[test]
    fn the_channel_in_the_sender_is_named_and_complete() {
        let describe = |text: &str| {
            let table: toml::Table = toml::from_str(text).expect("TOML");
            (find("vp9-tambur").expect("a system").describe)(&table)
        };
        let refused = format!("{:#}", describe("loss_bad = \"75%\"").expect_err("no channel"));
        assert!(refused.contains("loss_bad") && refused.contains("channel=sender"), "{refused}");
        let refused = format!("{:#}", describe("channel = \"wire\"").expect_err("no such channel"));
        assert!(refused.contains("network") && refused.contains("sender-remembers"), "{refused}");
        let options = describe("channel = \"sender\"\nloss_bad = \"75%\"").expect("good").options;
        for (name, value) in
            [("good_to_bad", "6.8%"), ("bad_to_good", "85.2%"), ("loss_good", "4%"), ("loss_bad", "75%")]
        {
            assert_eq!(options[name].as_str(), Some(value), "{name}");
        }
        let default = describe("").expect("good").options;
        assert_eq!(default["channel"].as_str(), Some("network"));
        assert!(!default.contains_key("loss_bad"));
    }

    #[test]
    fn the_largest_chunk_still_fits_into_a_datagram() {
        let with = |size: i64| {
            let table = [("chunk_size".to_owned(), toml::Value::Integer(size))].into_iter().collect();
            crate::revo::describe(&table, &H264).is_ok()
        };
        // 1472 bytes of UDP payload, 65 of data channel, 21 of description; messages are padded to 4.
        assert!(with(1383) && !with(1384));
    }
}
