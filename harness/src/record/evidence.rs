//! What a system says, compared with what the harness saw itself: the ledger of the path, and the clock.

use super::tally::Tally;
use super::{Finding, Slots};
use contract::{Event, EventKind, FrameRow, Role, RunSpec, Side, Status, Stream};
use link::{Direction, FateRecord, Link, Outcome, Timestamp};
use std::collections::BTreeMap;

/// Clocks are read a moment apart, and frames are captured at a rounded time.
const TOLERANCE_NS: u64 = 2_000_000;
/// A capture later than this is no camera's; in a hundred, one may be late by more than a frame on a busy machine.
const CAPTURE_LATE_NS: u64 = 1_000_000_000;

/// What the path delivered, gathered from its ledger one record at a time.
#[derive(Debug, Default)]
pub struct Delivered {
    /// Forward: when packets entered and when they had come out whole, in the order in which they entered.
    times: Vec<(u64, u64)>,
    /// Forward packets that entered.
    entered: u64,
    /// Forward packets that came out whole: when they entered, and their bytes, every copy.
    whole: Vec<(u64, u64)>,
    /// Bytes of forward packets that came out whole, every copy.
    bytes: u64,
    /// The same above UDP.
    payload: u64,
    /// Records of either direction that are not what the model gives.
    not_the_models: u64,
    links: Option<[Link; 2]>,
    next: [u64; 2],
}

impl Delivered {
    /// For the ledger of `spec`. A ledger of virtual time is made by the system itself: each record is compared with the link
    /// model, which is pure and seeded.
    ///
    /// # Errors
    /// When the scenario's path cannot be built.
    pub fn new(spec: &RunSpec) -> Result<Self, link::LinkError> {
        let mut links = None;
        if spec.backend == contract::Backend::Virtual {
            let link = |spec_of: &link::LinkSpec, direction: Direction| {
                let mut link = Link::new(spec_of, direction.seed(spec.seed))?;
                link.start_at(Timestamp(spec.channel_start_ns()));
                Ok::<_, link::LinkError>(link)
            };
            links = Some([
                link(&spec.scenario.forward, Direction::Forward)?,
                link(&spec.scenario.reverse, Direction::Reverse)?,
            ]);
        }
        Ok(Self { links, ..Self::default() })
    }

    /// Takes one record.
    pub fn add(&mut self, record: &FateRecord) {
        let way = usize::from(record.direction == Direction::Reverse);
        if let Some(links) = &mut self.links {
            let fate = links[way].enqueue(record.in_ns, record.n, record.bytes);
            let expected = FateRecord::new(record.n, record.direction, record.in_ns, record.bytes, &fate);
            let same = record.n == self.next[way]
                && record.actual_ns.is_none()
                && (record.out_ns, record.copy_ns, record.fate)
                    == (expected.out_ns, expected.copy_ns, expected.fate)
                && (record.cause, record.state, record.row) == (expected.cause, expected.state, expected.row);
            self.not_the_models += u64::from(!same);
            self.next[way] += 1;
        }
        if record.direction == Direction::Reverse {
            return;
        }
        self.entered += 1;
        // Its checksum tells the receiver's kernel that a damaged packet is none.
        if matches!(record.fate, Outcome::Dropped | Outcome::Corrupted) {
            return;
        }
        if let Some(out) = record.actual_ns.or(record.out_ns) {
            self.times.push((record.in_ns.as_nanos(), out.as_nanos()));
            let copies = 1 + u64::from(record.copy_ns.is_some());
            let bytes = u64::from(record.bytes) * copies;
            self.whole.push((record.in_ns.as_nanos(), bytes));
            self.bytes += bytes;
            self.payload += bytes.saturating_sub(metrics::with_headers(0, copies));
        }
    }

    /// Bytes of forward packets that entered at `from` or later, and by `until`, and came out whole.
    #[must_use]
    pub fn bytes_between(&self, from: u64, until: u64) -> u64 {
        self.whole.iter().filter(|(t, _)| (from..=until).contains(t)).map(|(_, bytes)| bytes).sum()
    }

    /// Says, for any time a, when the first packet that entered at a or later was out.
    fn first_out_of_those_since(&mut self) -> impl Fn(u64) -> Option<u64> + use<> {
        self.times.sort_unstable();
        let mut times = self.times.clone();
        let mut earliest = u64::MAX;
        for (_, out) in times.iter_mut().rev() {
            earliest = earliest.min(*out);
            *out = earliest;
        }
        move |since| times.get(times.partition_point(|(entered, _)| *entered < since)).map(|(_, out)| *out)
    }

    /// Holds the joined rows against the path.
    pub fn check(&mut self, slots: &Slots, rows: &[FrameRow], promises_loss: bool) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.not_the_models > 0 {
            findings.push(Finding::LedgerNotTheModels { count: self.not_the_models });
        }
        let shown = rows.iter().filter(|r| r.is_shown()).count();
        if self.entered == 0 && (shown > 0 || promises_loss) {
            findings.push(Finding::NothingSent { shown: as_u32(shown) });
            return findings;
        }
        let first_out = self.first_out_of_those_since();
        for &stream in &slots.streams {
            let (mut unfounded, mut early, mut disordered, mut undecoded) =
                (Tally::default(), Tally::default(), Tally::default(), Tally::default());
            let (mut last, mut before) = (0, (None, None));
            let of_stream: Vec<&FrameRow> = rows.iter().filter(|r| r.stream == stream).collect();
            let conceals = of_stream.iter().any(|r| r.status == Status::Concealed);
            for (i, &row) in of_stream.iter().enumerate() {
                let since_capture = |frame| slots.capture_time(frame).as_nanos().saturating_sub(TOLERANCE_NS);
                let too_soon = |since, t: Timestamp| {
                    first_out(since).is_none_or(|out| out > t.as_nanos().saturating_add(TOLERANCE_NS))
                };
                // A still camera's pictures need no packets; who conceals has pictures of frames of which nothing came.
                let moved = i > 0 && of_stream[i - 1].captured_picture != row.captured_picture;
                if let Some(decoded) = row.decode_end
                    && row.status != Status::Concealed
                    && (row.captured_picture.is_none() || moved || i == 0)
                    && too_soon(
                        if row.status == Status::Frozen && conceals {
                            0
                        } else {
                            since_capture(row.frame_id)
                        },
                        decoded,
                    )
                {
                    undecoded.add(row.frame_id);
                }
                // A picture that came after its own slot and is now on the screen.
                if let (false, Some(shown), Some(slot)) = (row.is_shown(), row.shown_frame_id, row.deadline)
                    && of_stream.get(shown as usize).is_some_and(|r| !r.is_shown())
                    && too_soon(if conceals { 0 } else { since_capture(shown) }, slot)
                {
                    unfounded.add(row.frame_id);
                }
                let Some(render) = row.render.map(Timestamp::as_nanos) else { continue };
                let captured = slots.capture_time(row.frame_id).as_nanos();
                if render < captured {
                    early.add(row.frame_id);
                }
                if render < last {
                    disordered.add(row.frame_id);
                }
                last = render;
                // Partial data may be that of the frames before; where the camera's picture did not change either, a picture that stays
                // needs no packet.
                let since = match row.status {
                    Status::Rendered
                        if row.captured_picture.is_none()
                            || before != (row.shown_picture.as_deref(), row.captured_picture.as_deref()) =>
                    {
                        captured.saturating_sub(TOLERANCE_NS)
                    }
                    // To the bit what was captured, and new: nothing of the frames before gives that.
                    Status::Concealed
                        if row.captured_picture.is_some()
                            && row.shown_picture == row.captured_picture
                            && before.1 != row.captured_picture.as_deref() =>
                    {
                        captured.saturating_sub(TOLERANCE_NS)
                    }
                    _ => 0,
                };
                before = (row.shown_picture.as_deref(), row.captured_picture.as_deref());
                if too_soon(since, Timestamp(render)) {
                    unfounded.add(row.frame_id);
                }
            }
            undecoded.report(&mut findings, |count, first| Finding::DecodedWithoutPackets {
                stream,
                count,
                first,
            });
            unfounded.report(&mut findings, |count, first| Finding::ShownWithoutPackets {
                stream,
                count,
                first,
            });
            early.report(&mut findings, |count, first| Finding::ShownBeforeCapture { stream, count, first });
            disordered.report(&mut findings, |count, first| Finding::SlotsOutOfOrder {
                stream,
                count,
                first,
            });
            if let Some(finding) = later_pictures(slots, stream, rows) {
                findings.push(finding);
            }
        }
        findings
    }
}

/// Slots that show, to the bit, the picture of a frame that was captured only after them, and of none before.
fn later_pictures(slots: &Slots, stream: Stream, rows: &[FrameRow]) -> Option<Finding> {
    let mut first_captured: BTreeMap<&str, u32> = BTreeMap::new();
    for row in rows.iter().filter(|r| r.stream == stream) {
        if let Some(picture) = &row.captured_picture {
            first_captured.entry(picture).or_insert(row.frame_id);
        }
    }
    let mut tally = Tally::default();
    for row in rows.iter().filter(|r| r.stream == stream) {
        let (Some(picture), Some(render)) = (&row.shown_picture, row.render) else { continue };
        let of = first_captured.get(picture.as_str()).copied();
        if of.is_some_and(|frame| slots.capture_time(frame) > render) {
            tally.add(row.frame_id);
        }
    }
    (tally.count > 0).then_some(Finding::ShowsLater { stream, count: tally.count, first: tally.first })
}

/// What events say about time and traffic, gathered one at a time.
#[derive(Debug, Default)]
pub struct Claims {
    /// When both ends had ended, in nanoseconds of the run: nothing can have happened later. None: not known.
    ended_ns: Option<u64>,
    future: u64,
    captured_off: Tally,
    /// Later than a frame's time, and of how many.
    captured_late: Tally,
    frames: u32,
    received_bytes: u64,
    first_received: Option<u64>,
    misattributed: u64,
}

impl Claims {
    /// For a run that ended at `ended_ns`.
    #[must_use]
    pub fn new(ended_ns: Option<u64>) -> Self {
        Self { ended_ns, ..Self::default() }
    }

    /// Takes one event.
    pub fn add(&mut self, (spec, slots): (&RunSpec, &Slots), event: &Event) {
        let t = event.t_ns.as_nanos();
        if self.ended_ns.is_some_and(|end| t > end) {
            self.future += 1;
        }
        match &event.kind {
            EventKind::Captured { frame } if *frame < spec.clip.frames => {
                let at = slots.capture_time(*frame).as_nanos();
                // In virtual time nothing is ever late.
                let (allowed, slack) = match spec.backend {
                    contract::Backend::Virtual => (TOLERANCE_NS, TOLERANCE_NS),
                    contract::Backend::Namespaces => (CAPTURE_LATE_NS, spec.interval_ns().max(TOLERANCE_NS)),
                };
                if t + TOLERANCE_NS < at || t > at + allowed {
                    self.captured_off.add(*frame);
                } else if t > at + slack {
                    self.captured_late.add(*frame);
                }
                self.frames = spec.clip.frames;
                self.misattributed += u64::from(event.side != Side::Sender);
            }
            EventKind::Encoded { .. } | EventKind::SenderDrop { .. } => {
                self.misattributed += u64::from(event.side != Side::Sender);
            }
            EventKind::Slot { .. } | EventKind::Decoded { .. } => {
                self.misattributed += u64::from(event.side != Side::Receiver);
            }
            EventKind::Received { role: Role::Data | Role::Parity | Role::Repeat, bytes, .. }
                if event.side == Side::Receiver =>
            {
                self.received_bytes += u64::from(*bytes);
                self.first_received = Some(self.first_received.map_or(t, |first| first.min(t)));
            }
            _ => {}
        }
    }

    /// Holds the claims against the path.
    #[must_use]
    pub fn check(&self, delivered: Option<&Delivered>) -> Vec<Finding> {
        let mut findings = Vec::new();
        if self.future > 0 {
            findings.push(Finding::EventsFromTheFuture { count: self.future });
        }
        let mut off = self.captured_off;
        if self.captured_late.count > (self.frames / 100).max(2) {
            off.add(self.captured_late.first);
            off.count += self.captured_late.count - 1;
        }
        off.report(&mut findings, |count, first| Finding::CaptureOffSchedule { count, first });
        if self.misattributed > 0 {
            findings.push(Finding::WrongSide { count: self.misattributed });
        }
        if let Some(path) = delivered {
            let first_out = path.times.iter().map(|(_, out)| *out).min();
            let too_soon = match (self.first_received, first_out) {
                (Some(received), Some(out)) => received + TOLERANCE_NS < out,
                (received, _) => received.is_some(),
            };
            // In virtual time ledger and events are one process's, to the byte; between namespaces a packet may be missed.
            let most = if path.links.is_some() { path.payload } else { path.bytes };
            if too_soon || self.received_bytes > most {
                let (claimed, delivered) = (self.received_bytes, most);
                findings.push(Finding::ReceivedMoreThanDelivered { claimed, delivered });
            }
        }
        findings
    }
}

fn as_u32(n: usize) -> u32 {
    u32::try_from(n).unwrap_or(u32::MAX)
}
