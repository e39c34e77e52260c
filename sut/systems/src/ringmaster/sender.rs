//! The sending end: encode, send, send again what acknowledgements have overtaken.

use super::Session;
use crate::jobs::{EncodeDone, EncodeJob};
use codecs::Unit;
use contract::{Event, EventKind, Role, Side, Stream};
use link::Timestamp;
use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;
use sut_core::wire::ringmaster::{Header, MAX_PAYLOAD, Message, micros};
use sut_core::{Endpoint, Input, Output};

/// A datagram that is not acknowledged.
struct Unacked {
    header: Header,
    payload: Vec<u8>,
    first_sent: Timestamp,
    last_sent: Timestamp,
    again: u32,
}

/// See the module.
pub struct Sender {
    session: Session,
    out: VecDeque<Output<EncodeJob>>,
    /// By frame and fragment.
    unacked: BTreeMap<(u32, u16), Unacked>,
    /// Exponentially weighted, a fifth for each new sample, nanoseconds.
    round_trip: Option<u64>,
    key_wanted: bool,
    finished_at: Timestamp,
    over: bool,
}

impl Sender {
    /// A sender that waits for the first capture.
    #[must_use]
    pub fn new(session: Session) -> Self {
        let finished_at = session.schedule.last_packet();
        let (out, unacked) = (VecDeque::new(), BTreeMap::new());
        Self { session, out, unacked, round_trip: None, key_wanted: true, finished_at, over: false }
    }

    fn event(&mut self, t_ns: Timestamp, kind: EventKind) {
        self.out.push_back(Output::Event(Event { t_ns, side: Side::Sender, kind }));
    }

    /// The oldest datagram decides: older than a second, all are given up for a key frame.
    fn capture(&mut self, now: Timestamp, frame: u32) {
        let patience = Duration::from_millis(self.session.options.key_after_ms);
        if self.unacked.first_key_value().is_some_and(|(_, oldest)| now > oldest.first_sent + patience) {
            self.key_wanted = true;
            self.unacked.clear();
            self.event(now, EventKind::Note { text: "key frame forced: retransmissions given up".into() });
        }
        let key = std::mem::take(&mut self.key_wanted);
        self.out.push_back(Output::Job(EncodeJob { frame, stream: Stream::Rgb, key, target_bps: None }));
    }

    fn encoded(&mut self, now: Timestamp, done: &EncodeDone) {
        let EncodeDone { frame, stream, unit: Unit { ref bytes, key, .. } } = *done;
        self.event(now, EventKind::Encoded { frame, stream, bytes: bytes.len() as u32, key: Some(key) });
        let Ok(fragments) = u16::try_from(bytes.len().div_ceil(MAX_PAYLOAD)) else {
            self.key_wanted = true; // the encoder refers to a frame nobody will get
            let reason = format!("{} bytes are more than 65535 datagrams", bytes.len());
            return self.event(now, EventKind::SenderDrop { frame, reason });
        };
        for (fragment, payload) in (0..).zip(bytes.chunks(MAX_PAYLOAD)) {
            let header = Header { frame, key, fragment, fragments, sent_us: micros(now) };
            self.send(now, header, payload, Role::Data);
            let (payload, again) = (payload.to_vec(), 0);
            let datagram = Unacked { header, payload, first_sent: now, last_sent: now, again };
            self.unacked.insert((frame, fragment), datagram);
        }
    }

    fn send(&mut self, now: Timestamp, header: Header, payload: &[u8], role: Role) {
        let datagram = header.datagram(payload);
        let (frame, index, bytes) = (header.frame, u32::from(header.fragment), datagram.len() as u32);
        self.out.push_back(Output::Transmit(datagram));
        self.event(now, EventKind::Sent { frame, stream: Stream::Rgb, role, index, bytes });
    }

    fn acknowledged(&mut self, now: Timestamp, at: (u32, u16), sent_us: u64) {
        let sample = now.as_nanos().saturating_sub(sent_us.saturating_mul(1000));
        let round_trip = self.round_trip.map_or(sample, |r| sample / 5 + r / 5 * 4);
        self.round_trip = Some(round_trip);
        if !self.unacked.contains_key(&at) {
            return;
        }
        let most = self.session.options.retransmissions;
        let mut again = Vec::new();
        for (key, datagram) in self.unacked.range_mut(..at) {
            let overdue = now > datagram.last_sent + Duration::from_nanos(round_trip);
            if datagram.again < most && (datagram.again == 0 || overdue) {
                datagram.again += 1;
                datagram.last_sent = now;
                again.push(*key);
            }
        }
        for key in again {
            if let Some(Unacked { header, payload, .. }) = self.unacked.get(&key) {
                let (header, payload) = (Header { sent_us: micros(now), ..*header }, payload.clone());
                self.send(now, header, &payload, Role::Repeat);
            }
        }
        self.unacked.remove(&at);
    }

    fn feedback(&mut self, now: Timestamp, datagram: &[u8]) {
        if let Some(Message::Ack { frame, fragment, sent_us }) = Message::parse(datagram) {
            return self.acknowledged(now, (frame, fragment), sent_us);
        }
        let reason = "not an acknowledgement".to_owned();
        self.event(now, EventKind::Malformed { bytes: datagram.len() as u32, reason });
    }
}

impl Endpoint for Sender {
    type Job = EncodeJob;
    type Done = EncodeDone;

    fn handle(&mut self, now: Timestamp, input: Input<'_, EncodeDone>) {
        match input {
            Input::Capture(frame) => self.capture(now, frame),
            Input::JobDone(done) => self.encoded(now, &done),
            Input::Datagram(datagram) => self.feedback(now, datagram),
            Input::Timeout => self.over = now >= self.finished_at,
            Input::Start | Input::Signal(_) => {}
        }
    }

    fn poll_output(&mut self) -> Option<Output<EncodeJob>> {
        self.out.pop_front()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        (!self.over).then_some(self.finished_at)
    }

    fn is_finished(&self) -> bool {
        self.over
    }
}

#[cfg(test)]
mod tests {
    use super::super::Options;
    use super::*;

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
