//! What the cross-checks found, each with the next step.

use contract::Stream;
use contract::scores::Warning;
use link::Direction;
use std::fmt;

/// Something a reader must know before using a run's numbers.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Finding {
    /// Frames of the clip that nobody captured.
    NeverCaptured {
        /// How many.
        count: u32,
        /// The first.
        first: u32,
    },
    /// Slots the receiver never judged; they count as frozen.
    SlotsMissing {
        /// Stream.
        stream: Stream,
        /// How many.
        count: u32,
        /// The first.
        first: u32,
    },
    /// Slots the receiver judged more than once; the first judgement counts.
    SlotsRepeated {
        /// Stream.
        stream: Stream,
        /// How many.
        count: u32,
        /// The first.
        first: u32,
    },
    /// Events about frames past the end of the clip.
    BeyondClip {
        /// How many.
        count: u32,
        /// The first such frame.
        first: u32,
    },
    /// Slots said to be rendered, or concealed, that show another frame.
    ShowsOther {
        /// Stream.
        stream: Stream,
        /// How many.
        count: u32,
        /// The first.
        first: u32,
    },
    /// Slots without a new picture that are said to show another frame than the one on the screen.
    FrozenShowsOther {
        /// Stream.
        stream: Stream,
        /// How many.
        count: u32,
        /// The first.
        first: u32,
    },
    /// Slots without a new picture for which the store holds another picture than the one on the screen.
    FrozenStoreDiffers {
        /// Stream.
        stream: Stream,
        /// How many.
        count: u32,
        /// The first.
        first: u32,
    },
    /// Frames said to be dropped by the sender of which packets were sent, or that were shown from complete data.
    DroppedYetSent {
        /// How many.
        count: u32,
        /// The first.
        first: u32,
    },
    /// Frames said to be decoded although no packet that entered after their capture had been delivered.
    DecodedWithoutPackets {
        /// Stream.
        stream: Stream,
        /// How many.
        count: u32,
        /// The first.
        first: u32,
    },
    /// Far more entered the path than the sender says it sent.
    MoreEnteredThanSent {
        /// Bytes above UDP that the sender says it sent in the clip's window.
        sent: u64,
        /// Bytes above UDP that entered.
        entered: u64,
    },
    /// In virtual time: less entered the path than the sender says it sent.
    LessEnteredThanSent {
        /// Bytes above UDP that the sender says it sent.
        sent: u64,
        /// Bytes above UDP that entered.
        entered: u64,
    },
    /// Much crossed outside of the clip's window.
    MuchOutside {
        /// Before frame 0, or after the clip.
        when: &'static str,
        /// Bytes that entered then.
        bytes: u64,
        /// Bytes that entered in the window.
        within: u64,
    },
    /// Slots that did not come at capture plus the budget that the scenario fixes.
    BudgetNotKept {
        /// The budget, nanoseconds.
        asked_ns: u64,
        /// Median of what was kept, nanoseconds.
        kept_ns: u64,
        /// Slots off by more than the tolerance.
        count: u32,
        /// All slots.
        slots: u32,
        /// The farthest, nanoseconds.
        worst_ns: u64,
    },
    /// A slot that shows a frame captured after it.
    ShowsFuture {
        /// Stream.
        stream: Stream,
        /// The slot.
        frame: u32,
        /// What it shows.
        shown: u32,
    },
    /// Slots whose picture is not the one that was decoded for the frame they show.
    PictureDiffers {
        /// Stream.
        stream: Stream,
        /// How many.
        count: u32,
        /// The first.
        first: u32,
    },
    /// Pictures decoded again from the store that are not those that the receiver reported.
    RedecodeDiffers {
        /// Stream.
        stream: Stream,
        /// How many.
        count: u32,
        /// The first.
        first: u32,
    },
    /// Pictures in the store after that of the last slot: nobody knows which picture was on the screen when.
    StoreSurplus {
        /// Stream.
        stream: Stream,
        /// Pictures.
        pictures: u32,
        /// Slots.
        slots: u32,
    },
    /// Nothing was stored of what was shown.
    StoreMissing {
        /// Stream.
        stream: Stream,
    },
    /// Slots called rendered or concealed that repeat the picture of the slot before although the camera's changed: counted as frozen.
    StillCalledShown {
        /// Stream.
        stream: Stream,
        /// How many.
        count: u32,
        /// The first.
        first: u32,
    },
    /// Slots whose picture is not in the store.
    StoreLacks {
        /// Stream.
        stream: Stream,
        /// How many.
        count: u32,
        /// The first.
        first: u32,
    },
    /// Arrivals of packets that were never sent.
    NeverSent {
        /// How many.
        count: u32,
        /// The first frame with one.
        first: u32,
    },
    /// The sender's count of datagrams is not the emulator's.
    LedgerDiffers {
        /// Packets of frames that the sender says it sent.
        sent: u64,
        /// Packets of frames in the ledger.
        ledger: u64,
    },
    /// Frames of which one thing is said to have happened before another that it follows from.
    TimesReversed {
        /// Stream.
        stream: Stream,
        /// The later thing and the earlier one.
        what: &'static str,
        /// How many.
        count: u32,
        /// The first.
        first: u32,
    },
    /// Frames captured well before their time on the frame clock.
    CapturedEarly {
        /// How many.
        count: u32,
        /// The first.
        first: u32,
    },
    /// Packets that left the path before they entered it.
    LeftBeforeEntered {
        /// Which way.
        direction: Direction,
        /// How many.
        count: u32,
        /// Number of the first.
        first: u64,
    },
    /// The ledger that a system wrote in virtual time is not what the link model gives for its packets.
    LedgerNotTheModels {
        /// Records that differ.
        count: u64,
    },
    /// No packet entered the forward path, and pictures were shown or loss was promised.
    NothingSent {
        /// Slots said to show something.
        shown: u32,
    },
    /// Slots said to be rendered although no packet that entered after their frame's capture had been delivered.
    ShownWithoutPackets {
        /// Stream.
        stream: Stream,
        /// How many.
        count: u32,
        /// The first.
        first: u32,
    },
    /// Slots said to be rendered before their frame was captured.
    ShownBeforeCapture {
        /// Stream.
        stream: Stream,
        /// How many.
        count: u32,
        /// The first.
        first: u32,
    },
    /// Slots whose time lies before that of the slot before.
    SlotsOutOfOrder {
        /// Stream.
        stream: Stream,
        /// How many.
        count: u32,
        /// The first.
        first: u32,
    },
    /// Slots that show the picture of a frame captured after them.
    ShowsLater {
        /// Stream.
        stream: Stream,
        /// How many.
        count: u32,
        /// The first.
        first: u32,
    },
    /// Pictures better than the delivered bits can carry.
    BetterThanDelivered {
        /// Stream.
        stream: Stream,
        /// PSNR of the rendered slots, dB.
        db: u32,
        /// Bytes that the path delivered.
        delivered: u64,
        /// Bytes that a codec needs for less.
        needed: u64,
    },
    /// Events later than the end of the run.
    EventsFromTheFuture {
        /// How many.
        count: u64,
    },
    /// Captures that are not where the frame clock has them.
    CaptureOffSchedule {
        /// How many.
        count: u32,
        /// The first.
        first: u32,
    },
    /// Events that only the other end can have seen.
    WrongSide {
        /// How many.
        count: u64,
    },
    /// More was received, or sooner, than the path delivered.
    ReceivedMoreThanDelivered {
        /// Bytes that the receiver says it got.
        claimed: u64,
        /// Bytes that the path delivered.
        delivered: u64,
    },
    /// Traffic that is not UDP and that the manifest does not allow.
    UnexpectedTraffic {
        /// `tcp`, `icmp`, ...
        kind: String,
        /// Packets, both ways.
        packets: u64,
    },
    /// More traffic before frame 0 than a handshake needs.
    SetupTraffic {
        /// Bytes of the larger direction.
        bytes: u64,
        /// What the manifest allows.
        limit: u64,
    },
    /// More passed between the ends beside the path than signalling needs.
    SignalTraffic {
        /// Lines.
        lines: u64,
        /// Their bytes.
        bytes: u64,
    },
    /// More packets than the manifest allows.
    PacketFlood {
        /// Packets, both ways.
        packets: u64,
        /// What the manifest allows in one direction.
        limit: u64,
    },
    /// Pictures on the harness's screen whose content is another frame's than their marker's.
    MarkerContradicted {
        /// How many.
        count: u64,
        /// Of so many compared.
        of: u64,
        /// Frame of the first one's marker.
        first: u32,
    },
    /// Pictures on the harness's screen that carry no marker of the run.
    UnmarkedPictures {
        /// How many.
        count: u64,
        /// Of those that stood on the screen, how many look like the clip.
        alike: u64,
    },
    /// Slots of an app at which the screen showed a picture that is none of the camera's, after frames of the clip.
    ScreenUnreadable {
        /// Slots.
        slots: u32,
        /// For how long, milliseconds.
        ms: u64,
    },
    /// Slots of an app at which the screen had gone back to an older frame.
    ScreenWentBack {
        /// Slots.
        slots: u32,
        /// For how long, milliseconds.
        ms: u64,
    },
    /// Frames that an app showed for a moment that nobody can see.
    FramesFlashed {
        /// Frames.
        count: u64,
        /// Frames of the clip.
        of: u32,
    },
    /// The harness's screen could not be seen to the end.
    ScreenBroken {
        /// Why.
        reason: String,
    },
    /// More passed between an end and the server beside the path than signalling needs.
    ServerTraffic {
        /// Bytes of the larger direction since frame 0.
        bytes: u64,
        /// What the manifest allows.
        limit: u64,
    },
    /// A scenario that promises loss, and a run without any.
    NoLoss {
        /// Packets that passed.
        packets: u64,
    },
    /// A metric that was asked for and could not be computed.
    MetricMissing {
        /// Its column name.
        metric: String,
        /// Why, and what to do.
        reason: String,
    },
}

impl Finding {
    /// Stable name.
    #[must_use]
    pub fn code(&self) -> &'static str {
        match self {
            Finding::NeverCaptured { .. } => "never_captured",
            Finding::SlotsMissing { .. } => "slots_missing",
            Finding::SlotsRepeated { .. } => "slots_repeated",
            Finding::BeyondClip { .. } => "beyond_clip",
            Finding::ShowsOther { .. } => "shows_other",
            Finding::FrozenShowsOther { .. } => "frozen_shows_other",
            Finding::FrozenStoreDiffers { .. } => "frozen_store_differs",
            Finding::DroppedYetSent { .. } => "dropped_yet_sent",
            Finding::DecodedWithoutPackets { .. } => "decoded_without_packets",
            Finding::MoreEnteredThanSent { .. } => "more_entered_than_sent",
            Finding::LessEnteredThanSent { .. } => "less_entered_than_sent",
            Finding::MuchOutside { .. } => "much_outside",
            Finding::BudgetNotKept { .. } => "budget_not_kept",
            Finding::ShowsFuture { .. } => "shows_future",
            Finding::PictureDiffers { .. } => "picture_differs",
            Finding::RedecodeDiffers { .. } => "redecode_differs",
            Finding::StoreLacks { .. } => "store_lacks",
            Finding::StoreSurplus { .. } => "store_surplus",
            Finding::StoreMissing { .. } => "store_missing",
            Finding::StillCalledShown { .. } => "still_called_shown",
            Finding::NeverSent { .. } => "never_sent",
            Finding::LedgerDiffers { .. } => "ledger_differs",
            Finding::TimesReversed { .. } => "times_reversed",
            Finding::CapturedEarly { .. } => "captured_early",
            Finding::LeftBeforeEntered { .. } => "left_before_entered",
            Finding::LedgerNotTheModels { .. } => "ledger_not_the_models",
            Finding::NothingSent { .. } => "nothing_sent",
            Finding::ShownWithoutPackets { .. } => "shown_without_packets",
            Finding::ShownBeforeCapture { .. } => "shown_before_capture",
            Finding::SlotsOutOfOrder { .. } => "slots_out_of_order",
            Finding::ShowsLater { .. } => "shows_later",
            Finding::BetterThanDelivered { .. } => "better_than_delivered",
            Finding::EventsFromTheFuture { .. } => "events_from_the_future",
            Finding::CaptureOffSchedule { .. } => "capture_off_schedule",
            Finding::WrongSide { .. } => "wrong_side",
            Finding::ReceivedMoreThanDelivered { .. } => "received_more_than_delivered",
            Finding::UnexpectedTraffic { .. } => "unexpected_traffic",
            Finding::SetupTraffic { .. } => "setup_traffic",
            Finding::SignalTraffic { .. } => "signal_traffic",
            Finding::PacketFlood { .. } => "packet_flood",
            Finding::MarkerContradicted { .. } => "marker_contradicted",
            Finding::UnmarkedPictures { .. } => "unmarked_pictures",
            Finding::ScreenBroken { .. } => "screen_broken",
            Finding::ScreenUnreadable { .. } => "screen_unreadable",
            Finding::ScreenWentBack { .. } => "screen_went_back",
            Finding::FramesFlashed { .. } => "frames_flashed",
            Finding::ServerTraffic { .. } => "server_traffic",
            Finding::NoLoss { .. } => "no_loss",
            Finding::MetricMissing { .. } => "metric_missing",
        }
    }

    /// True if the numbers of the run cannot be trusted because of it.
    #[must_use]
    pub fn invalidates(&self) -> bool {
        !matches!(
            self,
            Finding::NoLoss { .. }
                | Finding::MetricMissing { .. }
                | Finding::CapturedEarly { .. }
                | Finding::StillCalledShown { .. }
                | Finding::FrozenShowsOther { .. }
                | Finding::FrozenStoreDiffers { .. }
                | Finding::MuchOutside { .. }
                | Finding::ScreenUnreadable { .. }
                | Finding::ScreenWentBack { .. }
                | Finding::FramesFlashed { .. }
        )
    }

    /// As `scores.json` keeps it.
    #[must_use]
    pub fn to_warning(&self) -> Warning {
        Warning { code: self.code().to_owned(), text: self.to_string() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Finding::NeverCaptured { count, first } => write!(
                f,
                "{count} frames of the clip were never captured (first: {first}); the sender ended early, see its log"
            ),
            Finding::SlotsMissing { stream, count, first } => write!(
                f,
                "the receiver never judged {count} {} slots (first: {first}); they count as frozen; its record must hold one slot per captured frame and stream",
                stream.name()
            ),
            Finding::SlotsRepeated { stream, count, first } => write!(
                f,
                "the receiver judged {count} {} slots more than once (first: {first}); the first judgement counts",
                stream.name()
            ),
            Finding::BeyondClip { count, first } => write!(
                f,
                "{count} events are about frames past the end of the clip (first: frame {first}); they are left out"
            ),
            Finding::ShowsOther { stream, count, first } => write!(
                f,
                "{count} {} slots say rendered or concealed and show another frame (first: {first}); scored by what they show",
                stream.name()
            ),
            Finding::FrozenShowsOther { stream, count, first } => write!(
                f,
                "{count} {} slots say frozen (or their frame was dropped) and name another frame than the one on the screen (first: {first}); scored by what was on the screen: the last frame shown, or a newer one that came after its own slot",
                stream.name()
            ),
            Finding::FrozenStoreDiffers { stream, count, first } => write!(
                f,
                "for {count} {} slots that say frozen (or whose frame was dropped) the store holds another picture than the one on the screen (first: {first}); scored by what was on the screen; a store holds one picture per slot, in a frozen slot the picture before once more, whatever comes later",
                stream.name()
            ),
            Finding::DroppedYetSent { count, first } => write!(
                f,
                "{count} frames are said to be dropped by the sender although packets of them were sent, or they were rendered (first: {first}); they count as sent; sender_drop is for frames of which nothing is sent"
            ),
            Finding::DecodedWithoutPackets { stream, count, first } => write!(
                f,
                "{count} {} frames are said to be decoded although no packet sent after their capture had been delivered by then (first: {first})",
                stream.name()
            ),
            Finding::MoreEnteredThanSent { sent, entered } => write!(
                f,
                "{entered} bytes entered the path in the clip's time, and the sender says that it sent {sent}; every packet needs its `sent` event, repair and copies too, with its whole size"
            ),
            Finding::LessEnteredThanSent { sent, entered } => write!(
                f,
                "the sender says that it sent {sent} bytes, and {entered} entered the path by the ledger; the ledger lacks packets, or `sent` is not what was sent (a transport that holds packets back says so by `transport` events)"
            ),
            Finding::MuchOutside { when, bytes, within } => write!(
                f,
                "{bytes} bytes crossed {when}, and {within} in the clip's time: rates count the latter alone; what belongs to the clip must cross in its time"
            ),
            Finding::BudgetNotKept { asked_ns, kept_ns, count, slots, worst_ns } => write!(
                f,
                "{count} of {slots} slots did not come {} after capture, as the scenario's playout asks: the median came after {}, the \
                 farthest was {} off; the figures belong to another budget; for a system with a clock of its own write playout = \
                 \"own\" in the scenario",
                ms(*asked_ns),
                ms(*kept_ns),
                ms(*worst_ns)
            ),
            Finding::ShowsFuture { stream, frame, shown } => write!(
                f,
                "{} slot {frame} claims to show frame {shown}, captured after it; frame ids are mixed up",
                stream.name()
            ),
            Finding::PictureDiffers { stream, count, first } => write!(
                f,
                "in {count} {} slots the picture is not the one decoded for the frame they show (first: {first}); scored by the store",
                stream.name()
            ),
            Finding::RedecodeDiffers { stream, count, first } => write!(
                f,
                "{count} {} pictures decoded again from the store differ from what the receiver reported (first: {first}); the store or the decoder is not the run's",
                stream.name()
            ),
            Finding::StoreMissing { stream } => write!(
                f,
                "there is no rendered.{0}.units, .mkv or .y4m: what was shown of {0} cannot be measured",
                stream.name()
            ),
            Finding::StillCalledShown { stream, count, first } => write!(
                f,
                "{count} {} slots called rendered or concealed repeat the picture of the slot before although the camera's changed (first: {first}); they count as frozen",
                stream.name()
            ),
            Finding::StoreSurplus { stream, pictures, slots } => write!(
                f,
                "the store of what was shown has {pictures} {} pictures for {slots} slots: one per slot is wanted, a frozen slot's once more",
                stream.name()
            ),
            Finding::StoreLacks { stream, count, first } => write!(
                f,
                "the store of what was shown has no picture for {count} {} slots (first: {first}); they are not scored",
                stream.name()
            ),
            Finding::NeverSent { count, first } => write!(
                f,
                "{count} packets arrived that the sender never reported (first: frame {first}); its record is incomplete"
            ),
            Finding::LedgerDiffers { sent, ledger } => write!(
                f,
                "the sender reports {sent} packets of frames, the ledger of the path holds {ledger}; trust the ledger"
            ),
            Finding::TimesReversed { stream, what, count, first } => write!(
                f,
                "{count} {} frames were {what} (first: {first}); a clock is wrong, and these times are left out",
                stream.name()
            ),
            Finding::CapturedEarly { count, first } => write!(
                f,
                "{count} frames were captured more than 1 ms before their time on the frame clock (first: {first}); they are left out of the capture lateness"
            ),
            Finding::LeftBeforeEntered { direction, count, first } => write!(
                f,
                "{count} packets left the {} path before they entered it (first: packet {first}); the ledger's clock is wrong, and their delay is left out",
                match direction {
                    Direction::Forward => "forward",
                    Direction::Reverse => "reverse",
                }
            ),
            Finding::LedgerNotTheModels { count } => write!(
                f,
                "{count} fates in fates.jsonl are not those that the scenario's link model gives with this seed; the system wrote a ledger of its own making"
            ),
            Finding::NothingSent { shown } => write!(
                f,
                "no packet entered the path, and {shown} slots say that they show something; media must cross the path"
            ),
            Finding::ShownWithoutPackets { stream, count, first } => write!(
                f,
                "{count} {} slots are said to show a frame although no packet sent after its capture had been delivered by then (first: {first})",
                stream.name()
            ),
            Finding::ShownBeforeCapture { stream, count, first } => write!(
                f,
                "{count} {} slots are said to be rendered before their frame was captured (first: {first}); times are nanoseconds since the run's start",
                stream.name()
            ),
            Finding::SlotsOutOfOrder { stream, count, first } => write!(
                f,
                "{count} {} slots lie before the slot of the frame before (first: {first}); slots come one per frame, in order",
                stream.name()
            ),
            Finding::ShowsLater { stream, count, first } => write!(
                f,
                "{count} {} slots show the very picture of a frame that was captured only later (first: {first})",
                stream.name()
            ),
            Finding::BetterThanDelivered { stream, db, delivered, needed } => write!(
                f,
                "the rendered {} pictures have {db} dB, for less than which x264 needs {needed} bytes, and the path delivered {delivered}; they did not come by the path",
                stream.name()
            ),
            Finding::EventsFromTheFuture { count } => write!(
                f,
                "{count} events are later than the end of the run; times are nanoseconds since the run's start, on CLOCK_MONOTONIC"
            ),
            Finding::CaptureOffSchedule { count, first } => write!(
                f,
                "{count} captures are not on the frame clock: early, or late by more than a frame (first: frame {first}); the sender lies, or the machine is too busy"
            ),
            Finding::WrongSide { count } => write!(
                f,
                "{count} events are said to have been seen by the end that cannot see them (captures by the receiver, or slots by the sender)"
            ),
            Finding::ReceivedMoreThanDelivered { claimed, delivered } => write!(
                f,
                "the receiver says that it got {claimed} bytes of frames; the path delivered {delivered}, or none so early"
            ),
            Finding::UnexpectedTraffic { kind, packets } => write!(
                f,
                "{packets} packets were of kind `{kind}`, not UDP between the ends; what crossed was shaped like the rest; if the system is meant to use it, its manifest says allow = [\"{kind}\"]"
            ),
            Finding::SetupTraffic { bytes, limit } => write!(
                f,
                "{bytes} bytes crossed before the channel began, where the path only delays ({limit} are allowed); media belongs after it (warm_s of the manifest is for warming up); limits.setup_kb"
            ),
            Finding::SignalTraffic { lines, bytes } => write!(
                f,
                "{lines} signal lines with {bytes} bytes passed beside the path; media belongs on the path; limits.signals and limits.signal_kb of the manifest"
            ),
            Finding::PacketFlood { packets, limit } => write!(
                f,
                "{packets} packets entered the path, {limit} are allowed per direction; limits.packets of the manifest"
            ),
            Finding::MarkerContradicted { count, of, first } => write!(
                f,
                "{count} of {of} pictures on the screen look clearly like another frame than their marker says (first: frame {first}); they were put together by somebody"
            ),
            Finding::UnmarkedPictures { count, alike } => write!(
                f,
                "the screen showed {count} pictures without a marker of this run ({alike} of those that stood there look like the clip); what the camera filmed has one"
            ),
            Finding::ScreenUnreadable { slots, ms } => write!(
                f,
                "in {slots} slots (for {ms} ms of the clip) the screen showed a picture without a readable marker after frames of the clip: black, a spinner, a damaged picture; these slots are not rendered, and scored by that picture"
            ),
            Finding::ScreenWentBack { slots, ms } => write!(
                f,
                "in {slots} slots (for {ms} ms of the clip) the screen went back to an older frame than it had shown; these slots are not rendered, and scored by that picture"
            ),
            Finding::FramesFlashed { count, of } => write!(
                f,
                "{count} of {of} frames stood on the screen for less than 10 ms before something else than a newer frame took their place; nobody sees them, and they do not count as shown"
            ),
            Finding::ScreenBroken { reason } => write!(f, "the screen was not seen to the end: {reason}"),
            Finding::ServerTraffic { bytes, limit } => write!(
                f,
                "{bytes} bytes passed between the ends and the server beside the path since the call was set up ({limit} are allowed); media belongs on the path; limits.signal_kb of the manifest"
            ),
            Finding::NoLoss { packets } => write!(
                f,
                "the scenario promises loss and none of {packets} packets was lost: another seed, a longer clip or another window of the trace meets some"
            ),
            Finding::MetricMissing { metric, reason } => write!(f, "{metric} is left empty: {reason}"),
        }
    }
}

fn ms(ns: u64) -> String {
    format!("{}.{:03} ms", ns / 1_000_000, ns / 1000 % 1000)
}
