//! The receiving end: recover, play out, report.

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
use sut_core::wire::tambur::Feedback;
use sut_core::{Endpoint, Input, Output};

/// See the module.
pub struct Receiver {
    session: Session,
    player: Player,
    decoder: Decoder,
    /// Only with [`Parity::Reports`]; a fixed amount needs no reports.
    reporter: Option<Reporter>,
    /// Frames that are complete, as far back as acknowledgements go.
    complete: BTreeSet<u32>,
    /// FEC frames less video frames so far: large video frames take several.
    split: u64,
    /// Sequence numbers that have arrived lately.
    seen: BTreeSet<u32>,
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
        let reporter = (options.parity == Parity::Reports).then(|| Reporter::new(interval, predictor));
        let decoder = Decoder::new(options.code())?;
        let player = Player::new(&session.schedule, session.options.wait_ms);
        Ok(Self {
            session,
            player,
            decoder,
            reporter,
            complete: BTreeSet::new(),
            split: 0,
            seen: BTreeSet::new(),
        })
    }

    fn datagram(&mut self, now: Timestamp, datagram: &[u8]) {
        let Some((header, _)) = Header::parse(datagram) else {
            return self.player.malformed(now, datagram.len(), "not a FEC packet");
        };
        let recovered = match self.decoder.push(datagram) {
            Ok(recovered) => recovered,
            Err(error) => return self.player.malformed(now, datagram.len(), &error.to_string()),
        };
        if let Some(last) = recovered.last() {
            self.split = last.fec_frame.saturating_sub(u64::from(last.video_frame));
        }
        if let Some(reporter) = &mut self.reporter {
            reporter.packet(now, header.sequence);
        }
        // The video frame is inside the protected bytes; until they are there, it follows from the count of FEC
        // frames (of a split frame, the first parts count as the frames after it).
        let fec_frame = self.decoder.unwrapped(header.frame);
        let last = self.session.schedule.frames.saturating_sub(1);
        let frame = u32::try_from(fec_frame.saturating_sub(self.split)).unwrap_or(last).min(last);
        let role = if header.parity { Role::Parity } else { Role::Data };
        let duplicate = !self.seen.insert(header.sequence);
        if self.seen.len() > 1024 {
            self.seen.pop_first();
        }
        let (stream, index, bytes) = (Stream::Rgb, header.sequence, datagram.len() as u32);
        self.player.event(now, EventKind::Received { frame, stream, role, index, bytes, duplicate });
        self.player.playout.packet(now, frame);
        for frame in recovered {
            self.complete(now, frame.video_frame, frame.key, frame.bytes, frame.recovered_stripes);
        }
    }

    fn complete(&mut self, now: Timestamp, frame: u32, key: bool, bytes: Vec<u8>, recovered: u32) {
        self.complete.insert(frame);
        if self.complete.len() > 64 {
            self.complete.pop_first();
        }
        let newest = self.complete.last().copied().unwrap_or(frame);
        let before =
            (0..32).filter(|i| newest.checked_sub(1 + i).is_some_and(|f| self.complete.contains(&f)));
        let before = before.fold(0u32, |bits, i| bits | 1 << i);
        self.player.transmit(Feedback::Complete { frame: newest, before }.encode());
        self.player.complete(now, frame, key, bytes, recovered);
    }

    /// Carries out what the playout wants, and reports.
    fn advance(&mut self, now: Timestamp, timeout: bool) {
        self.player.advance(now, timeout);
        if let Some(quality) = self.reporter.as_mut().and_then(|r| r.poll(now)) {
            self.player.transmit(Feedback::Report(quality).encode());
            self.player.event(now, EventKind::Feedback { what: format!("quality report {}", quality as u8) });
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
        self.advance(now, timeout);
    }

    fn poll_output(&mut self) -> Option<Output<DecodeJob>> {
        self.player.poll_output()
    }

    fn poll_timeout(&self) -> Option<Timestamp> {
        if self.player.playout.is_finished() {
            return None;
        }
        let report = self.reporter.as_ref().and_then(Reporter::due);
        [self.player.playout.poll_timeout(), report].into_iter().flatten().min()
    }

    fn is_finished(&self) -> bool {
        self.player.playout.is_finished()
    }
}
