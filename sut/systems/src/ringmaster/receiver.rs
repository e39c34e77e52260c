//! The receiving end: acknowledge every datagram, collect frames, decode and show.

use super::Session;
use crate::jobs::{DecodeDone, DecodeJob};
use crate::player::Player;
use contract::{EventKind, Role, Stream};
use link::Timestamp;
use std::collections::BTreeMap;
use sut_core::wire::ringmaster::{Header, Message};
use sut_core::{Endpoint, Input, Output};

/// What has come of a frame.
struct Parts {
    key: bool,
    fragments: u16,
    came: BTreeMap<u16, Vec<u8>>,
    done: bool,
}

/// See the module.
pub struct Receiver {
    session: Session,
    player: Player,
    /// Frames that decoding has not passed.
    frames: BTreeMap<u32, Parts>,
}

impl Receiver {
    /// A receiver before the first packet.
    #[must_use]
    pub fn new(session: Session) -> Self {
        let player = Player::new(&session.schedule, None);
        Self { session, player, frames: BTreeMap::new() }
    }

    fn datagram(&mut self, now: Timestamp, datagram: &[u8]) {
        let parsed = Header::parse(datagram).filter(|(h, _)| h.frame < self.session.schedule.frames);
        let Some((header, payload)) = parsed else {
            return self.player.malformed(now, datagram.len(), "not a datagram of a frame");
        };
        let Header { frame, key, fragment, fragments, .. } = header;
        // The program takes no more of frames that decoding has passed, but acknowledges them.
        let wanted = frame >= self.player.playout.next();
        let mut duplicate = !wanted;
        let mut complete = None;
        if wanted {
            let parts = self.frames.entry(frame).or_insert_with(|| Parts {
                key,
                fragments,
                came: BTreeMap::new(),
                done: false,
            });
            if (parts.key, parts.fragments) != (key, fragments) {
                return self.player.malformed(
                    now,
                    datagram.len(),
                    "contradicts an earlier datagram of its frame",
                );
            }
            duplicate = parts.done || parts.came.contains_key(&fragment);
            if !duplicate {
                parts.came.insert(fragment, payload.to_vec());
                if parts.came.len() == usize::from(fragments) {
                    parts.done = true;
                    let bytes = std::mem::take(&mut parts.came).into_values().flatten().collect();
                    complete = Some(bytes);
                }
            }
        }
        self.player.transmit(Message::ack(&header).encode());
        let (stream, role) = (Stream::Rgb, Role::Data);
        let (index, bytes) = (u32::from(fragment), datagram.len() as u32);
        self.player.event(now, EventKind::Received { frame, stream, role, index, bytes, duplicate });
        self.player.playout.packet(now, frame);
        if let Some(bytes) = complete {
            self.player.complete(now, frame, key, bytes, 0);
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
        self.frames = self.frames.split_off(&self.player.playout.next());
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
