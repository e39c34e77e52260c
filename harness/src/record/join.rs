//! Joins the events of both ends by frame id.

use super::tally::Tally;
use super::{Finding, Ledger};
use contract::frames::Traffic;
use contract::scores::Budget;
use contract::{Event, EventKind, FrameRow, LossCause, Playout, Role, Side, Status, Stream, capture_offset};
use link::Timestamp;
use metrics::{Place, Window};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// Which slots a run has: every captured frame of every stream, once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Slots {
    /// Captured frames.
    pub frames: u32,
    /// When frame 0 is captured.
    pub capture_start: Timestamp,
    /// Streams that are sent.
    pub streams: Vec<Stream>,
    /// Frames captured per second, as a fraction.
    pub rate: (u32, u32),
    /// When frames are due.
    pub playout: Playout,
    /// How far a slot may be from capture plus a fixed budget: 0 in virtual time.
    pub slot_tolerance: Duration,
    /// True if one message of the system is one packet of the path, so that counts must agree.
    pub one_packet_per_message: bool,
    /// Where a system's own clock decides: its last slot. What is sent until then is the clip's.
    pub last_slot: Option<Timestamp>,
    /// The harness has seen the screen itself: a slot shows what it says, whatever was there before.
    pub watched: bool,
}

impl Slots {
    /// Time between captures, nanoseconds, rounded down.
    #[must_use]
    pub fn interval_ns(&self) -> u64 {
        u64::try_from(capture_offset(1, self.rate).as_nanos()).unwrap_or(u64::MAX)
    }

    /// When frame `frame` is captured by the frame clock.
    #[must_use]
    pub fn capture_time(&self, frame: u32) -> Timestamp {
        self.capture_start + capture_offset(frame, self.rate)
    }

    /// When a frame was due at the camera, by the frame clock, where its sender says that it was captured at `said`: whoever computes the
    /// clock in another unit is off by a rounding, and nobody moves a deadline or shortens a latency by what it says of its captures.
    #[must_use]
    pub fn capture_by_clock(&self, frame: u32, said: Timestamp) -> Timestamp {
        let due = self.capture_time(frame);
        if said.as_nanos().abs_diff(due.as_nanos()) <= ROUNDING_NS { said } else { due }
    }

    /// The time in which rates and losses are counted.
    #[must_use]
    pub fn window(&self) -> Window {
        let clip = Window::new(self.capture_start.as_nanos(), self.interval_ns(), self.frames);
        self.last_slot.map_or(clip, |last| clip.counting_until(last.as_nanos()))
    }
}

/// Captures this close to the frame clock are on it, nanoseconds.
const ROUNDING_NS: u64 = 100_000;
/// Threads of one end read their clock a moment apart.
const CLOCKS_APART_NS: u64 = 2_000_000;

/// Which kinds of events a system writes at all: of what it never writes nothing can be counted, and that is not zero.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[allow(clippy::struct_excessive_bools)] // seven independent facts
pub struct Reports {
    /// Encoded frames.
    pub encoded: bool,
    /// Packets sent.
    pub sent: bool,
    /// Packets of frames received.
    pub received: bool,
    /// Frames complete.
    pub complete: bool,
    /// Frames given up.
    pub lost: bool,
    /// What its transport holds back or drops.
    pub transport: bool,
    /// Not the system but the ledger of the path says which packets are a frame's: it has them all.
    pub labelled: bool,
}

/// What belongs to no single frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Packets that the sender handed to its transport in the clip's window, by what they carry.
    pub sent: BTreeMap<Role, Traffic>,
    /// The same before the window, whatever they carry.
    pub sent_before: Traffic,
    /// The same after the window.
    pub sent_after: Traffic,
    /// What the system's own loss model dropped before it was sent, in the window.
    pub lost_at_sender: Traffic,
    /// Datagrams that made no sense.
    pub malformed: u64,
    /// What the transports dropped themselves, at the end.
    pub transport_dropped: u64,
}

/// What [`join`] gives.
#[derive(Clone, Debug, PartialEq)]
pub struct Joined {
    /// By frame, then by stream; `slots.frames * slots.streams.len()` of them.
    pub rows: Vec<FrameRow>,
    /// What the cross-checks found.
    pub findings: Vec<Finding>,
    /// The budget by which the frames were judged.
    pub budget: Budget,
    /// What belongs to no single frame.
    pub totals: Totals,
    /// What the system reports at all.
    pub reports: Reports,
}

/// One row per captured frame and stream. The order of `events` does not matter beyond ties of repeated events (the
/// first counts), so the records of both ends can simply follow each other.
pub fn join<E>(
    events: impl IntoIterator<Item = Result<Event, E>>,
    ledger: Option<&Ledger>,
    slots: &Slots,
) -> Result<Joined, E> {
    let mut joiner = Joiner::new(slots);
    for event in events {
        joiner.push(&event?);
    }
    Ok(joiner.finish(ledger))
}

struct Joiner<'a> {
    slots: &'a Slots,
    cells: Vec<Cell>,
    dropped: Vec<bool>,
    capture: Vec<Option<Timestamp>>,
    totals: Totals,
    reports: Reports,
    transport_dropped: BTreeMap<Side, u64>,
    beyond: Tally,
}

/// What a decoder made of a frame.
struct Decoded {
    at: Timestamp,
    gave_picture: bool,
    /// Of the picture, where the system says it.
    hash: Option<String>,
}

/// Everything seen about one stream of one frame.
#[derive(Default)]
struct Cell {
    encoded: Option<(Timestamp, u32, Option<bool>)>,
    traffic: BTreeMap<Role, Traffic>,
    /// By what they carry and its index; the copies of a packet together.
    packets: BTreeMap<(Role, u32), Packet>,
    lost_at_sender: u32,
    first_sent: Option<Timestamp>,
    last_sent: Option<Timestamp>,
    first_received: Option<Timestamp>,
    last_received: Option<Timestamp>,
    duplicates: u32,
    complete: Option<(Timestamp, u32)>,
    decoded: Option<Decoded>,
    lost: Option<(LossCause, u32)>,
    slot: Option<Slot>,
    repeated_slot: bool,
}

#[derive(Default)]
struct Packet {
    sent: u32,
    received: u32,
    first: Option<Timestamp>,
}

/// What is on the screen of a stream, slot after slot.
#[derive(Clone, Default)]
struct OnScreen {
    /// The frame; none: black.
    frame: Option<u32>,
    /// Frames that were shown in their own slot.
    shown: BTreeSet<u32>,
    /// Slots without a new picture that are said to show another one than is on the screen.
    other: Tally,
}

struct Slot {
    t: Timestamp,
    status: Status,
    shown: Option<u32>,
    picture: Option<String>,
}

impl<'a> Joiner<'a> {
    fn new(slots: &'a Slots) -> Self {
        let frames = slots.frames as usize;
        Self {
            slots,
            cells: std::iter::repeat_with(Cell::default).take(frames * slots.streams.len()).collect(),
            dropped: vec![false; frames],
            capture: vec![None; frames],
            totals: Totals::default(),
            reports: Reports::default(),
            transport_dropped: BTreeMap::new(),
            beyond: Tally::default(),
        }
    }

    fn cell(&mut self, frame: u32, stream: Stream) -> Option<&mut Cell> {
        let place = self.slots.streams.iter().position(|&s| s == stream);
        match place {
            Some(place) if frame < self.slots.frames => {
                self.cells.get_mut(frame as usize * self.slots.streams.len() + place)
            }
            _ => None,
        }
    }

    fn push(&mut self, event: &Event) {
        use EventKind as K;
        let t = event.t_ns;
        self.reports.note(event);
        if let Some(frame) = event.kind.frame()
            && frame >= self.slots.frames
            && !matches!(event.kind, K::Sent { role: Role::Control | Role::Feedback, .. })
            && !matches!(event.kind, K::Received { role: Role::Control | Role::Feedback, .. })
        {
            self.beyond.add(frame);
            return;
        }
        match &event.kind {
            K::Captured { frame } => {
                self.capture[*frame as usize].get_or_insert(t);
            }
            // No receiver knows.
            K::SenderDrop { frame, .. } => self.dropped[*frame as usize] |= event.side == Side::Sender,
            K::LostAtSender { frame, stream, bytes, .. } if event.side == Side::Sender => {
                if self.slots.window().place(t.as_nanos()) == Place::Within {
                    self.totals.lost_at_sender.add(*bytes);
                }
                if let Some(cell) = self.cell(*frame, *stream) {
                    cell.lost_at_sender += 1;
                }
            }
            K::LostAtSender { .. } => {}
            K::Encoded { frame, stream, bytes, key } => {
                if let Some(cell) = self.cell(*frame, *stream) {
                    cell.encoded.get_or_insert((t, *bytes, *key));
                }
            }
            K::Sent { frame, stream, role, index, bytes } => {
                self.sent(t, event.side, (*frame, *stream), (*role, *index), *bytes);
            }
            K::Received { frame, stream, role, index, duplicate, .. } => {
                if let Some(cell) = self.cell(*frame, *stream)
                    && !matches!(role, Role::Control | Role::Feedback)
                {
                    cell.duplicates += u32::from(*duplicate);
                    cell.first_received = earliest(cell.first_received, t);
                    cell.last_received = cell.last_received.max(Some(t));
                    let packet = cell.packets.entry((carried(*role), *index)).or_default();
                    packet.received += 1;
                    packet.first = earliest(packet.first, t);
                }
            }
            K::Complete { frame, stream, recovered } => {
                if let Some(cell) = self.cell(*frame, *stream) {
                    cell.complete.get_or_insert((t, *recovered));
                }
            }
            K::Decoded { frame, stream, picture } => {
                if let Some(cell) = self.cell(*frame, *stream) {
                    cell.decoded.get_or_insert_with(|| Decoded {
                        at: t,
                        gave_picture: picture.is_some(),
                        hash: picture.clone().filter(|hash| !hash.is_empty()),
                    });
                }
            }
            K::Lost { frame, stream, cause, missing } => {
                if let Some(cell) = self.cell(*frame, *stream) {
                    cell.lost.get_or_insert((*cause, *missing));
                }
            }
            K::Slot { frame, stream, status, shown, picture } => {
                if let Some(cell) = self.cell(*frame, *stream) {
                    if cell.slot.is_some() {
                        cell.repeated_slot = true;
                    } else {
                        let (status, shown, picture) = (*status, *shown, picture.clone());
                        cell.slot = Some(Slot { t, status, shown, picture });
                    }
                }
            }
            K::Malformed { .. } => self.totals.malformed += 1,
            K::Transport { dropped, .. } => {
                let so_far = self.transport_dropped.entry(event.side).or_default();
                *so_far = (*so_far).max(*dropped);
            }
            K::Feedback { .. } | K::Note { .. } => {}
        }
    }

    fn sent(
        &mut self,
        t: Timestamp,
        side: Side,
        (frame, stream): (u32, Stream),
        (role, index): (Role, u32),
        bytes: u32,
    ) {
        if side == Side::Receiver {
            return;
        }
        match self.slots.window().place(t.as_nanos()) {
            Place::Before => self.totals.sent_before.add(bytes),
            Place::Within => self.totals.sent.entry(role).or_default().add(bytes),
            Place::After => self.totals.sent_after.add(bytes),
        }
        if !matches!(role, Role::Control | Role::Feedback)
            && let Some(cell) = self.cell(frame, stream)
        {
            cell.traffic.entry(role).or_default().add(bytes);
            cell.packets.entry((carried(role), index)).or_default().sent += 1;
            cell.first_sent = earliest(cell.first_sent, t);
            cell.last_sent = cell.last_sent.max(Some(t));
        }
    }

    fn finish(mut self, ledger: Option<&Ledger>) -> Joined {
        self.totals.transport_dropped = self.transport_dropped.values().sum();
        self.reports.labelled = ledger.and_then(Ledger::forward_frame_packets).is_some();
        let mut findings = Vec::new();
        let never_captured = self.capture.iter().enumerate().filter(|(_, t)| t.is_none());
        let mut tally = Tally::default();
        never_captured.for_each(|(frame, _)| tally.add(u32::try_from(frame).unwrap_or(u32::MAX)));
        tally.report(&mut findings, |count, first| Finding::NeverCaptured { count, first });

        let width = self.slots.streams.len();
        for (place, &stream) in self.slots.streams.iter().enumerate() {
            self.check(stream, place, &mut findings);
        }
        self.beyond.report(&mut findings, |count, first| Finding::BeyondClip { count, first });
        self.not_dropped().report(&mut findings, |count, first| Finding::DroppedYetSent { count, first });
        let mut screens = vec![OnScreen::default(); width];
        let mut rows: Vec<FrameRow> = Vec::with_capacity(self.cells.len());
        let mut never_sent = Tally::default();
        for (i, cell) in self.cells.iter().enumerate() {
            let frame = i / width.max(1);
            let id = u32::try_from(frame).unwrap_or(u32::MAX);
            for packet in cell.packets.values().filter(|p| p.sent == 0 && self.reports.sent) {
                (0..packet.received).for_each(|_| never_sent.add(id));
            }
            // Whatever the scenario asks for: the slot is what a frame was judged by.
            let asked = || Some(self.capture_by_clock(frame)? + self.slots.playout.budget()?);
            let deadline = cell.slot.as_ref().map(|slot| slot.t).or_else(asked);
            let mut row = cell.row(
                id,
                self.slots.streams[i % width],
                self.capture[frame],
                deadline,
                self.dropped[frame],
                self.reports,
            );
            self.keep_the_screen(&mut row, cell, &mut screens[i % width]);
            if row.shown_picture.is_none()
                && let Some(shown) = row.shown_frame_id
                && let Some(decoded) =
                    self.cells.get(shown as usize * width + i % width).and_then(|c| c.decoded.as_ref())
            {
                row.shown_picture.clone_from(&decoded.hash);
            }
            rows.push(row);
        }
        for (screen, &stream) in screens.iter().zip(&self.slots.streams) {
            screen.other.report(&mut findings, |count, first| Finding::FrozenShowsOther {
                stream,
                count,
                first,
            });
        }
        never_sent.report(&mut findings, |count, first| Finding::NeverSent { count, first });
        // A ledger that could not parse packets counts those of the set-up too: nothing to compare then.
        if let Some(counted) = ledger.and_then(Ledger::forward_frame_packets)
            && self.slots.one_packet_per_message
        {
            let sent: u64 = rows.iter().filter_map(FrameRow::sent).map(|t| u64::from(t.packets)).sum();
            if self.reports.sent && sent != counted {
                findings.push(Finding::LedgerDiffers { sent, ledger: counted });
            }
        }
        for &stream in &self.slots.streams {
            reversed(&rows, stream, &mut findings);
        }
        let pairs: Vec<(Timestamp, Timestamp)> = self
            .cells
            .iter()
            .enumerate()
            .filter_map(|(i, cell)| Some((self.capture_by_clock(i / width.max(1))?, cell.slot.as_ref()?.t)))
            .collect();
        let (budget, not_kept) = super::budget::measure(&pairs, self.slots);
        findings.extend(not_kept);
        Joined { rows, findings, budget, totals: self.totals, reports: self.reports }
    }

    fn capture_by_clock(&self, frame: usize) -> Option<Timestamp> {
        Some(self.slots.capture_by_clock(u32::try_from(frame).ok()?, self.capture[frame]?))
    }

    /// Frames said to be dropped by the sender although packets of them were sent, or whole ones were shown: they were not.
    fn not_dropped(&mut self) -> Tally {
        let width = self.slots.streams.len().max(1);
        let mut tally = Tally::default();
        for (frame, cells) in self.cells.chunks(width).enumerate() {
            let was_sent = |c: &Cell| {
                c.first_sent.is_some() || c.slot.as_ref().is_some_and(|s| s.status == Status::Rendered)
            };
            if self.dropped[frame] && cells.iter().any(was_sent) {
                self.dropped[frame] = false;
                tally.add(u32::try_from(frame).unwrap_or(u32::MAX));
            }
        }
        tally
    }

    /// In a slot without a new picture the screen keeps what it has: the last slot's that was shown, or a picture that came too late for
    /// its own slot and is newer than that. Whatever else such a slot is said to show was not there.
    fn keep_the_screen(&self, row: &mut FrameRow, cell: &Cell, screen: &mut OnScreen) {
        if row.is_shown() {
            screen.frame = row.shown_frame_id;
            screen.shown.insert(row.frame_id);
            return;
        }
        if self.slots.watched {
            return;
        }
        if let Some(slot) = &cell.slot
            && slot.shown != screen.frame
        {
            let late = slot.shown.filter(|&shown| {
                let is_newer = shown < row.frame_id && screen.frame.is_none_or(|on| on < shown);
                let width = self.slots.streams.len();
                let place = self.slots.streams.iter().position(|s| *s == row.stream).unwrap_or(0);
                let decoded = self.cells.get(shown as usize * width + place).and_then(|c| c.decoded.as_ref());
                // Without a word of its decoding the ledger must do.
                let had_come = decoded.is_none_or(|d| {
                    d.gave_picture && d.at.as_nanos() <= slot.t.as_nanos().saturating_add(CLOCKS_APART_NS)
                });
                is_newer && had_come && !screen.shown.contains(&shown) && !self.dropped[shown as usize]
            });
            if late.is_some() {
                screen.frame = late;
            } else {
                // Who conceals a frame cannot know that it was dropped.
                if slot.status == Status::Frozen && slot.shown.is_none_or(|shown| shown <= row.frame_id) {
                    screen.other.add(row.frame_id);
                }
                row.shown_picture = None;
            }
        }
        row.shown_frame_id = screen.frame;
    }

    /// Cross-checks of one stream.
    fn check(&self, stream: Stream, place: usize, findings: &mut Vec<Finding>) {
        let width = self.slots.streams.len();
        let column = || (0..).zip(self.cells.iter().skip(place).step_by(width));
        let (mut missing, mut repeated, mut other, mut differs) =
            (Tally::default(), Tally::default(), Tally::default(), Tally::default());
        for (frame, cell) in column() {
            if cell.repeated_slot {
                repeated.add(frame);
            }
            let Some(slot) = &cell.slot else {
                if !self.dropped[frame as usize] {
                    missing.add(frame);
                }
                continue;
            };
            if matches!(slot.status, Status::Rendered | Status::Concealed) && slot.shown != Some(frame) {
                other.add(frame);
            }
            let Some(shown) = slot.shown else { continue };
            if shown > frame {
                findings.push(Finding::ShowsFuture { stream, frame, shown });
                continue;
            }
            let decoded = self.cells[shown as usize * width + place].decoded.as_ref();
            if let (Some(claimed), Some(Decoded { hash: Some(decoded), .. })) = (&slot.picture, decoded)
                && claimed != decoded
            {
                differs.add(frame);
            }
        }
        missing.report(findings, |count, first| Finding::SlotsMissing { stream, count, first });
        repeated.report(findings, |count, first| Finding::SlotsRepeated { stream, count, first });
        other.report(findings, |count, first| Finding::ShowsOther { stream, count, first });
        differs.report(findings, |count, first| Finding::PictureDiffers { stream, count, first });
    }
}

/// What cannot have happened in this order. `freezeframe score` leaves such times out.
fn reversed(rows: &[FrameRow], stream: Stream, findings: &mut Vec<Finding>) {
    type Time = fn(&FrameRow) -> Option<Timestamp>;
    let pairs: [(&'static str, Time, Time); 4] = [
        ("encoded before they were captured", |r| r.capture, |r| r.encode_end),
        ("received before they were captured", |r| r.capture, |r| r.first_received),
        ("decoded before they were captured", |r| r.capture, |r| r.decode_end),
        ("rendered before they were captured", |r| r.capture, |r| r.render),
    ];
    for (what, before, after) in pairs {
        let mut tally = Tally::default();
        for row in rows.iter().filter(|r| r.stream == stream) {
            if before(row).zip(after(row)).is_some_and(|(before, after)| after < before) {
                tally.add(row.frame_id);
            }
        }
        tally.report(findings, |count, first| Finding::TimesReversed { stream, what, count, first });
    }
}

impl Reports {
    fn note(&mut self, event: &Event) {
        use EventKind as K;
        match (&event.kind, event.side) {
            (K::Encoded { .. }, _) => self.encoded = true,
            (K::Sent { .. }, Side::Sender) => self.sent = true,
            (K::Received { role, .. }, _) if !matches!(role, Role::Control | Role::Feedback) => {
                self.received = true;
            }
            (K::Complete { .. }, _) => self.complete = true,
            (K::Lost { .. }, _) => self.lost = true,
            (K::Transport { .. }, Side::Sender) => self.transport = true,
            _ => {}
        }
    }
}

impl Cell {
    fn row(
        &self,
        frame: u32,
        stream: Stream,
        capture: Option<Timestamp>,
        deadline: Option<Timestamp>,
        dropped: bool,
        reports: Reports,
    ) -> FrameRow {
        let mut row = FrameRow::new(frame, stream);
        row.capture = capture;
        row.deadline = deadline;
        if let Some((t, bytes, key)) = self.encoded {
            (row.encode_end, row.encoded_bytes, row.is_key) = (Some(t), Some(bytes), key);
        } else if reports.encoded {
            row.encoded_bytes = Some(0);
        }
        let traffic = |role| reports.sent.then(|| self.traffic.get(&role).copied().unwrap_or_default());
        (row.data, row.parity, row.repeat) =
            (traffic(Role::Data), traffic(Role::Parity), traffic(Role::Repeat));
        (row.first_sent, row.last_sent) = (self.first_sent, self.last_sent);
        (row.first_received, row.last_received) = (self.first_received, self.last_received);
        if reports.received {
            if reports.sent {
                // More arrivals than packets sent: copies that the path made.
                row.lost = Some(self.packets.values().map(|p| p.sent.saturating_sub(p.received)).sum());
            }
            let late = |p: &&Packet| p.first.is_some_and(|t| deadline.is_some_and(|d| t > d));
            row.late = u32::try_from(self.packets.values().filter(late).count()).ok();
            row.duplicates = Some(self.duplicates);
        }
        if let Some((t, recovered)) = self.complete {
            (row.complete, row.recovered) = (Some(t), Some(recovered));
        } else if reports.complete {
            row.recovered = Some(0);
        }
        row.decode_end = self.decoded.as_ref().filter(|d| d.gave_picture).map(|d| d.at);
        row.missing = reports.lost.then(|| self.lost.map_or(0, |(_, missing)| missing));
        if let Some(slot) = &self.slot {
            row.status = slot.status;
            row.shown_frame_id = slot.shown;
            row.shown_picture.clone_from(&slot.picture);
            row.render = row.is_shown().then_some(slot.t);
        }
        if dropped {
            row.status = Status::DroppedSender;
            row.render = None;
        }
        row.loss_cause = match row.status {
            Status::Rendered => None,
            Status::DroppedSender => Some(LossCause::Sender),
            Status::Frozen if self.was_late(&row) => Some(LossCause::Late),
            // The receiver knows its own reasons best; without a word of it the packets tell.
            Status::Concealed | Status::Frozen => match self.lost {
                // Nor what was dropped before it was sent.
                Some((LossCause::Network, _)) if self.lost_at_sender > 0 && row.lost.unwrap_or(0) == 0 => {
                    Some(LossCause::Sender)
                }
                // It cannot know at the deadline what is still on its way.
                Some((LossCause::Network, _)) if row.lost == Some(0) && row.last_received.is_some() => {
                    Some(LossCause::Late)
                }
                Some((cause, _)) => Some(cause),
                None => Some(self.derive_cause(&row, reports)),
            },
        };
        row
    }

    /// True if the frame was complete, or even a picture, but after its slot.
    fn was_late(&self, row: &FrameRow) -> bool {
        let after = |t: Option<Timestamp>| t.zip(row.deadline).is_some_and(|(t, deadline)| t > deadline);
        after(row.complete) || after(row.decode_end)
    }

    /// What the events prove. A system that does not report packets, or when frames are complete, leaves it unknown.
    fn derive_cause(&self, row: &FrameRow, reports: Reports) -> LossCause {
        let before_the_path = self.lost_at_sender > 0 && row.lost.unwrap_or(0) == 0 && row.complete.is_none();
        if before_the_path || row.sent().is_some_and(|sent| sent.packets == 0) {
            return LossCause::Sender;
        }
        let gave_none = self.decoded.as_ref().is_some_and(|d| !d.gave_picture);
        let some = |count: Option<u32>| count.is_some_and(|n| n > 0);
        match (row.complete, row.deadline) {
            (Some(complete), Some(deadline)) if complete > deadline => LossCause::Late,
            (Some(_), _) if gave_none => LossCause::Decoder,
            (Some(_), _) => LossCause::Dependency,
            (None, _) if some(row.lost) => LossCause::Network,
            (None, _) if some(row.late) => LossCause::Late,
            (None, _) if gave_none => LossCause::Decoder,
            // All that entered the path of it came in time: it was whole, whoever says so.
            (None, _)
                if (reports.complete || (reports.labelled && row.late == Some(0))) && row.lost == Some(0) =>
            {
                LossCause::Dependency
            }
            (None, _) => LossCause::Unknown,
        }
    }
}

/// A second copy is the same bytes on the wire: a receiver cannot tell which of the two it got.
pub(super) const fn carried(role: Role) -> Role {
    match role {
        Role::Repeat => Role::Data,
        other => other,
    }
}

fn earliest(so_far: Option<Timestamp>, t: Timestamp) -> Option<Timestamp> {
    Some(so_far.map_or(t, |s| s.min(t)))
}
