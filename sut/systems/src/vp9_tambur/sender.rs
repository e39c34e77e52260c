//! The sending end: encode, protect, send; key frames when the receiver falls behind.

use super::Session;
use super::channel::{Channel, Place};
use crate::outgoing::{Outgoing, Protocol, VideoSender};
use anyhow::Result;
use contract::{EventKind, Role, Stream};
use link::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use sut_core::fec::streaming::{Encoder, Header, Quality};
use sut_core::wire::ringmaster::{Header as Datagram, Message, micros};

/// A frame that is not known to be complete.
struct Open {
    sent: Timestamp,
    /// FEC frame of the first of its packets that was sent.
    fec_frame: u64,
}

/// What the sender makes parity of, and what it knows of its receiver.
pub struct Streaming {
    session: Session,
    encoder: Encoder,
    quality: Quality,
    /// The program's `unacked_frames_`: frames of which a packet was sent since the last key frame, and that are not known to be
    /// complete.
    open: BTreeMap<u32, Open>,
    /// Newest FEC frame of an open frame of which a packet has arrived.
    newest_seen: Option<u64>,
    /// The channel that drops packets before they are sent.
    channel: Option<Channel>,
}

/// See the module.
pub type Sender = VideoSender<Streaming>;

impl Sender {
    /// A sender that waits for the first capture.
    ///
    /// # Errors
    /// Options of the code or of the channel that nothing can have.
    pub fn new(session: Session) -> Result<Self> {
        let schedule = session.schedule;
        let streaming = Streaming {
            encoder: Encoder::new(session.options.code())?,
            quality: session.options.first_quality(),
            open: BTreeMap::new(),
            newest_seen: None,
            channel: match session.options.channel {
                Place::Network => None,
                Place::Sender | Place::SenderRemembers => {
                    Some(Channel::new(session.options.chain(), session.seed)?)
                }
            },
            session,
        };
        Ok(Self::of(streaming, &schedule))
    }
}

impl Streaming {
    /// Something of `frame` has arrived.
    fn seen(&mut self, frame: u32) {
        if let Some(open) = self.open.get(&frame) {
            self.newest_seen = self.newest_seen.max(Some(open.fec_frame));
        }
    }
}

impl Protocol for Streaming {
    /// Forces a key frame if the oldest open frame is more than tau behind the newest of which anything arrived, or too old; what was
    /// sent before is then of no interest (Tambur's `Encoder::encode_frame`).
    fn capture(&mut self, out: &mut Outgoing, now: Timestamp, _frame: u32) -> Option<u64> {
        let options = &self.session.options;
        let (_, oldest) = self.open.first_key_value()?;
        let behind = self.newest_seen.is_some_and(|n| n > oldest.fec_frame + options.key_after_frames);
        let old = now > oldest.sent + Duration::from_millis(options.key_after_ms);
        if behind || old {
            out.key_wanted = true;
            self.open.clear();
            let reason = if behind { "a frame is lost" } else { "nothing is complete" };
            out.event(now, EventKind::Note { text: format!("key frame forced: {reason}") });
        }
        None
    }

    fn encoded(&mut self, out: &mut Outgoing, now: Timestamp, frame: u32, key: bool, bytes: &[u8]) {
        if let Some(channel) = &mut self.channel {
            channel.step();
        }
        if key {
            self.open.clear();
        }
        let first_fec_frame = self.encoder.next_frame();
        let packets = match self.encoder.encode(frame, key, bytes, self.quality) {
            Ok(packets) => packets,
            Err(error) => return out.refused(now, frame, error.to_string()),
        };
        let remembers = self.session.options.channel == Place::SenderRemembers;
        let fragments = packets.len() as u16;
        // A large frame is several FEC frames; the packets of each count from 0.
        let mut fec_frame = None;
        for (fragment, packet) in (0..).zip(&packets) {
            let header = Header::parse(packet).map(|(header, _)| header);
            if header.is_some_and(|h| h.position == 0) {
                fec_frame = Some(fec_frame.map_or(first_fec_frame, |f| f + 1));
            }
            let role = if header.is_some_and(|h| h.parity) { Role::Parity } else { Role::Data };
            let outer = Datagram { frame, key, fragment, fragments, sent_us: micros(now) };
            let (index, datagram) = (u32::from(fragment), outer.datagram(packet));
            let lost = self.channel.as_mut().is_some_and(Channel::loses);
            if !lost || remembers {
                let fec_frame = fec_frame.unwrap_or(first_fec_frame);
                self.open.entry(frame).or_insert(Open { sent: now, fec_frame });
            }
            if lost {
                let (stream, bytes) = (Stream::Rgb, datagram.len() as u32);
                out.event(now, EventKind::LostAtSender { frame, stream, role, index, bytes });
            } else {
                out.send(now, frame, role, index, datagram);
            }
        }
    }

    fn feedback(&mut self, out: &mut Outgoing, now: Timestamp, datagram: &[u8]) {
        match Message::parse(datagram) {
            Some(Message::Report(quality)) => {
                self.quality = quality;
                out.event(now, EventKind::Feedback { what: format!("quality report {}", quality as u8) });
            }
            Some(Message::Ack { frame, .. }) => self.seen(frame),
            Some(Message::Complete(frame)) => {
                self.seen(frame);
                self.open.remove(&frame);
            }
            None => out.malformed(now, datagram.len(), "not a message of the receiver"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::*;
    use crate::jobs::EncodeDone;
    use codecs::Unit;
    use contract::Event;
    use sut_core::{Endpoint, Input, Output};

    fn sender(options: Options) -> Sender {
        let schedule = sut_core::Schedule {
            capture_start: Timestamp::ZERO,
            frames: 300,
            fps: 30,
            playout: contract::Playout::OWN,
            end: Timestamp::from_millis(20_000),
        };
        Sender::new(Session { options, schedule, seed: 1 }).expect("good options")
    }

    /// Captures and encodes a frame; whether a key frame was asked for, packets sent, packets lost at the sender.
    fn frame(s: &mut Sender, ms: u64, frame: u32) -> (bool, usize, usize) {
        let now = Timestamp::from_millis(ms);
        s.handle(now, Input::Capture(frame));
        let mut key = false;
        while let Some(output) = s.poll_output() {
            if let Output::Job(job) = output {
                key = job.key;
            }
        }
        let unit = Unit { bytes: vec![7; 900], key, qp: 0 };
        s.handle(now, Input::JobDone(EncodeDone { frame, stream: Stream::Rgb, unit }));
        let (mut sent, mut lost) = (0, 0);
        while let Some(output) = s.poll_output() {
            match output {
                Output::Transmit(_) => sent += 1,
                Output::Event(Event { kind: EventKind::LostAtSender { frame: of, .. }, .. }) => {
                    assert_eq!(of, frame);
                    lost += 1;
                }
                _ => {}
            }
        }
        (key, sent, lost)
    }

    fn say(s: &mut Sender, ms: u64, message: Message) {
        s.handle(Timestamp::from_millis(ms), Input::Datagram(&message.encode()));
        while s.poll_output().is_some() {}
    }

    fn ack(s: &mut Sender, ms: u64, frame: u32) {
        say(s, ms, Message::Ack { frame, fragment: 0, sent_us: 0 });
    }

    /// `Encoder::encode_frame` forces a key frame when the oldest frame that is not complete is more than tau = 3 behind the newest of
    /// which *any* packet was acknowledged, complete or not.
    #[test]
    fn the_newest_frame_of_which_anything_came_forces_the_key_frame() {
        let mut s = sender(Options::default());
        assert!(frame(&mut s, 0, 0).0, "the first");
        ack(&mut s, 40, 0);
        say(&mut s, 40, Message::Complete(0));
        for f in 1..=5u32 {
            assert!(!frame(&mut s, 33 * u64::from(f), f).0);
        }
        // Frame 1 is lost; of 2 to 4 something arrived.
        (2..=4).for_each(|f| ack(&mut s, 170, f));
        assert!(!frame(&mut s, 200, 6).0, "4 is three frames younger than 1: tau");
        ack(&mut s, 210, 5);
        assert!(frame(&mut s, 233, 7).0, "5 is four frames younger");
        // What was sent before the key frame is of no interest, and its acknowledgements say nothing.
        ack(&mut s, 240, 6);
        assert!(!frame(&mut s, 266, 8).0);
        assert!(!frame(&mut s, 1233, 9).0, "a second after the key frame, not more");
        assert!(frame(&mut s, 1234, 10).0, "nothing of it was acknowledged for more than a second");
    }

    /// Every packet dropped before the send queue: the published sender has nothing to miss, and asks for no key frame for ever. One
    /// that remembers asks after a second.
    #[test]
    fn a_frame_dropped_whole_before_the_send_queue_is_forgotten_as_published() {
        let all = Some("100%".parse().expect("a share"));
        let keys = |channel| {
            let mut s = sender(Options { channel, loss_good: all, loss_bad: all, ..Options::default() });
            let mut keys = Vec::new();
            for f in 0..100u32 {
                let (key, sent, lost) = frame(&mut s, u64::from(f) * 1000 / 30, f);
                assert_eq!((sent, lost > 0), (0, true), "everything is lost, and says so");
                keys.extend(key.then_some(f));
            }
            keys
        };
        assert_eq!(keys(Place::Sender), [0]);
        // Frame 0 is sent at 0; frame 31 is the first that is captured more than a second later (1033 ms).
        assert_eq!(keys(Place::SenderRemembers), [0, 31, 62, 93]);
    }
}
