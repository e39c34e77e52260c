//! The sending end: encode, send, send again what acknowledgements have overtaken.

use super::Session;
use crate::outgoing::{Outgoing, Protocol, VideoSender};
use contract::{EventKind, Role};
use link::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;
use sut_core::wire::ringmaster::{Header, MAX_PAYLOAD, Message, micros};

/// A datagram that is not acknowledged.
struct Unacked {
    header: Header,
    payload: Vec<u8>,
    first_sent: Timestamp,
    last_sent: Timestamp,
    again: u32,
}

/// What the sender knows of its receiver.
pub struct Retransmission {
    session: Session,
    /// By frame and fragment.
    unacked: BTreeMap<(u32, u16), Unacked>,
    /// Exponentially weighted, a fifth for each new sample, nanoseconds.
    round_trip: Option<u64>,
}

/// See the module.
pub type Sender = VideoSender<Retransmission>;

impl Sender {
    /// A sender that waits for the first capture.
    #[must_use]
    pub fn new(session: Session) -> Self {
        let schedule = session.schedule;
        Self::of(Retransmission { session, unacked: BTreeMap::new(), round_trip: None }, &schedule)
    }
}

impl Retransmission {
    fn acknowledged(&mut self, out: &mut Outgoing, now: Timestamp, at: (u32, u16), sent_us: u64) {
        let sample = now.as_nanos().saturating_sub(sent_us.saturating_mul(1000));
        let round_trip = self.round_trip.map_or(sample, |r| sample / 5 + r / 5 * 4);
        self.round_trip = Some(round_trip);
        if !self.unacked.contains_key(&at) {
            return;
        }
        let most = self.session.options.retransmissions;
        for datagram in self.unacked.range_mut(..at).map(|(_, datagram)| datagram) {
            let overdue = now > datagram.last_sent + Duration::from_nanos(round_trip);
            if datagram.again < most && (datagram.again == 0 || overdue) {
                datagram.again += 1;
                datagram.last_sent = now;
                let header = Header { sent_us: micros(now), ..datagram.header };
                send(out, now, header, &datagram.payload, Role::Repeat);
            }
        }
        self.unacked.remove(&at);
    }
}

fn send(out: &mut Outgoing, now: Timestamp, header: Header, payload: &[u8], role: Role) {
    out.send(now, header.frame, role, u32::from(header.fragment), header.datagram(payload));
}

impl Protocol for Retransmission {
    /// The oldest datagram decides: older than a second, all are given up for a key frame.
    fn capture(&mut self, out: &mut Outgoing, now: Timestamp, _frame: u32) -> Option<u64> {
        let patience = Duration::from_millis(self.session.options.key_after_ms);
        if self.unacked.first_key_value().is_some_and(|(_, oldest)| now > oldest.first_sent + patience) {
            out.key_wanted = true;
            self.unacked.clear();
            out.event(now, EventKind::Note { text: "key frame forced: retransmissions given up".into() });
        }
        None
    }

    fn encoded(&mut self, out: &mut Outgoing, now: Timestamp, frame: u32, key: bool, bytes: &[u8]) {
        let Ok(fragments) = u16::try_from(bytes.len().div_ceil(MAX_PAYLOAD)) else {
            return out.refused(now, frame, format!("{} bytes are more than 65535 datagrams", bytes.len()));
        };
        for (fragment, payload) in (0..).zip(bytes.chunks(MAX_PAYLOAD)) {
            let header = Header { frame, key, fragment, fragments, sent_us: micros(now) };
            send(out, now, header, payload, Role::Data);
            let (payload, again) = (payload.to_vec(), 0);
            let datagram = Unacked { header, payload, first_sent: now, last_sent: now, again };
            self.unacked.insert((frame, fragment), datagram);
        }
    }

    fn feedback(&mut self, out: &mut Outgoing, now: Timestamp, datagram: &[u8]) {
        match Message::parse(datagram) {
            Some(Message::Ack { frame, fragment, sent_us }) => {
                self.acknowledged(out, now, (frame, fragment), sent_us);
            }
            _ => out.malformed(now, datagram.len(), "not an acknowledgement"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::*;
    use crate::jobs::EncodeDone;
    use codecs::Unit;
    use contract::Stream;
    use sut_core::{Endpoint, Input, Output};

    fn sender() -> Sender {
        let schedule = sut_core::Schedule {
            capture_start: Timestamp::ZERO,
            frames: 300,
            fps: 30,
            playout: contract::Playout::OWN,
            end: Timestamp::from_millis(20_000),
        };
        Sender::new(Session { options: Options::default(), schedule })
    }

    /// What goes out: (frame, fragment) of datagrams, or the frame and whether a key frame is asked for.
    fn drain(sender: &mut Sender) -> (Vec<(u32, u16)>, Vec<(u32, bool)>) {
        let (mut sent, mut jobs) = (Vec::new(), Vec::new());
        while let Some(output) = sender.poll_output() {
            match output {
                Output::Transmit(datagram) => {
                    let (header, _) = Header::parse(&datagram).expect("a datagram");
                    sent.push((header.frame, header.fragment));
                }
                Output::Job(job) => jobs.push((job.frame, job.key)),
                _ => {}
            }
        }
        (sent, jobs)
    }

    fn frame(sender: &mut Sender, ms: u64, frame: u32, bytes: usize) -> (Vec<(u32, u16)>, bool) {
        let now = Timestamp::from_millis(ms);
        sender.handle(now, Input::Capture(frame));
        let jobs = drain(sender).1;
        let [(_, key)] = jobs[..] else { panic!("one frame to encode") };
        let unit = Unit { bytes: vec![7; bytes], key, qp: 0 };
        sender.handle(now, Input::JobDone(EncodeDone { frame, stream: Stream::Rgb, unit }));
        (drain(sender).0, key)
    }

    fn ack(sender: &mut Sender, ms: u64, frame: u32, fragment: u16, sent_ms: u64) -> Vec<(u32, u16)> {
        let message = Message::Ack { frame, fragment, sent_us: 1000 * sent_ms }.encode();
        sender.handle(Timestamp::from_millis(ms), Input::Datagram(&message));
        drain(sender).0
    }

    /// Ringmaster's `Encoder::handle_ack` and `encode_frame`.
    #[test]
    fn what_an_acknowledgement_overtakes_is_sent_again_at_most_three_times_and_given_up_after_a_second() {
        let mut s = sender();
        assert_eq!(frame(&mut s, 0, 0, 3000), (vec![(0, 0), (0, 1), (0, 2)], true));
        assert_eq!(frame(&mut s, 33, 1, 500), (vec![(1, 0)], false));
        assert_eq!(ack(&mut s, 40, 0, 0, 0), [], "nothing older");
        // (0, 1) and (0, 2) are lost: the next acknowledgement brings both, oldest first.
        assert_eq!(ack(&mut s, 73, 1, 0, 33), [(0, 1), (0, 2)]);
        assert_eq!(ack(&mut s, 74, 1, 0, 33), [], "said twice");
        assert_eq!(ack(&mut s, 113, 0, 2, 73), [], "(0, 1) went out 40 ms ago, a round trip");
        // It is lost again; later acknowledgements bring it once a round trip, up to three times.
        let mut repeats = 1;
        for f in 2..12u32 {
            let ms = 33 * u64::from(f) + 60;
            frame(&mut s, ms, f, 500);
            repeats += ack(&mut s, ms + 40, f, 0, ms).len();
        }
        assert_eq!(repeats, 3);
        // A second after its first sending (by 33 ms ticks) a key frame, and nothing is left to send again.
        assert!(!frame(&mut s, 1000, 12, 500).1, "not yet");
        assert!(frame(&mut s, 1001, 13, 500).1);
        assert_eq!(ack(&mut s, 1041, 13, 0, 1001), []);
    }
}
