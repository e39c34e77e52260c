//! The receiving end: acknowledge, recover, play out, report.

use super::{Parity, Session};
use crate::jobs::{DecodeDone, DecodeJob};
use crate::player::Player;
use anyhow::Result;
use contract::{EventKind, Role, Stream};
use link::Timestamp;
use std::collections::BTreeSet;
use std::time::Duration;
use sut_core::fec::streaming::quality::{AnyLoss, Predictor, Reporter};
use sut_core::fec::streaming::{Decoder, Header};
use sut_core::wire::ringmaster::{Header as Datagram, Message};
use sut_core::{Endpoint, Input, Output};

/// See the module.
pub struct Receiver {
    session: Session,
    player: Player,
    decoder: Decoder,
    /// Only with [`Parity::Reports`]; a fixed amount needs no reports.
    reporter: Option<Reporter>,
    /// Frame and fragment of packets that have arrived lately.
    seen: BTreeSet<(u32, u16)>,
}

impl Receiver {
    /// A receiver before the first packet, with Tambur's published reports.
    pub fn new(session: Session) -> Result<Self> {
        Receiver::with_predictor(session, Box::new(AnyLoss))
    }

    /// A receiver whose quality reports come from `predictor`.
    pub fn with_predictor(session: Session, predictor: Box<dyn Predictor>) -> Result<Self> {
        let options = &session.options;
        let interval = Duration::from_millis(options.report_interval_ms);
        let tau = options.code().tau;
        let reporter = (options.parity == Parity::Reports).then(|| Reporter::new(interval, tau, predictor));
        let decoder = Decoder::new(options.code())?;
        let player = Player::new(&session.schedule, None);
        Ok(Self { session, player, decoder, reporter, seen: BTreeSet::new() })
    }

    fn datagram(&mut self, now: Timestamp, datagram: &[u8]) {
        let of_a_frame = Datagram::parse(datagram).filter(|(d, _)| d.frame < self.session.schedule.frames);
        let Some((outer, packet)) = of_a_frame else {
            return self.player.malformed(now, datagram.len(), "not a datagram of a frame");
        };
        let Some((header, _)) = Header::parse(packet) else {
            return self.player.malformed(now, datagram.len(), "not a FEC packet");
        };
        let fec_frame = self.decoder.unwrapped(header.frame);
        let recovered = match self.decoder.push(packet) {
            Ok(recovered) => recovered,
            Err(error) => return self.player.malformed(now, datagram.len(), &error.to_string()),
        };
        self.player.transmit(Message::ack(&outer).encode());
        if let Some(reporter) = &mut self.reporter
            && let Some(quality) = reporter.packet(now, fec_frame, header.position)
        {
            self.player.transmit(Message::Report(quality).encode());
            let what = format!("quality report {}", quality as u8);
            self.player.event(now, EventKind::Feedback { what });
        }
        let frame = outer.frame;
        let duplicate = !self.seen.insert((frame, outer.fragment));
        if self.seen.len() > 1024 {
            self.seen.pop_first();
        }
        let role = if header.parity { Role::Parity } else { Role::Data };
        let (stream, index, bytes) = (Stream::Rgb, u32::from(outer.fragment), datagram.len() as u32);
        self.player.event(now, EventKind::Received { frame, stream, role, index, bytes, duplicate });
        self.player.playout.packet(now, frame);
        for frame in recovered {
            self.player.transmit(Message::Complete(frame.video_frame).encode());
            self.player.complete(now, frame.video_frame, frame.key, frame.bytes, frame.recovered_stripes);
        }
    }
}

impl Endpoint for Receiver {
    type Job = DecodeJob;
    type Done = DecodeDone;

    fn handle(&mut self, now: Timestamp, input: Input<'_, DecodeDone>) {
        let timeout = matches!(input, Input::Timeout);
        match input {
            Input::Datagram(datagram) => self.datagram(now, datagram),
            Input::JobDone(done) => self.player.decoded(now, done),
            Input::Start | Input::Timeout | Input::Capture(_) | Input::Signal(_) => {}
        }
        self.player.advance(now, timeout);
    }

    fn poll_output(&mut self) -> Option<Output<DecodeJob>> {
        self.player.poll_output()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        if self.player.playout.is_finished() { None } else { self.player.playout.poll_timeout() }
    }

    fn is_finished(&self) -> bool {
        self.player.playout.is_finished()
    }
}
