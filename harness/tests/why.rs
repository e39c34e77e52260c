//! `why`: the answer is read by people, so it is kept as text.

mod made_up;

use contract::{FrameRow, Status, Stream};
use freezeframe::record::why::{chain, explain};
use link::FateRecord;
use made_up::{MadeUp, joined, record};
use std::convert::Infallible;

fn ask(what: &MadeUp, frame: u32, fates_known: bool) -> String {
    let (joined, _) = joined(what);
    let (events, mut fates) = record(what);
    if !fates_known {
        // A ledger that could not parse packets: only times and sizes.
        for fate in &mut fates {
            *fate = FateRecord { frame: None, role: None, ..fate.clone() };
        }
    }
    let events = events.into_iter().map(Ok::<_, Infallible>);
    explain(&joined.rows, (frame, Stream::Rgb), events, fates.into_iter().map(Ok)).unwrap()
}

fn first(rows: &[FrameRow], wanted: impl Fn(&FrameRow) -> bool) -> u32 {
    rows.iter().find(|r| r.stream == Stream::Rgb && wanted(r)).expect("the record has such a frame").frame_id
}

#[test]
fn a_frame_that_lost_its_own_packets() {
    let what = MadeUp::default();
    let rows = joined(&what).0.rows;
    let frame = first(&rows, |r| r.status == Status::Frozen);
    insta::assert_snapshot!(ask(&what, frame, true));
}

#[test]
fn a_frame_whose_reference_was_lost() {
    let what = MadeUp::default();
    let rows = joined(&what).0.rows;
    let broken = first(&rows, |r| r.status == Status::Frozen);
    let frame = first(&rows, |r| r.frame_id > broken + 3 && r.lost == 0 && r.status == Status::Frozen);
    insta::assert_snapshot!(ask(&what, frame, true));
}

#[test]
fn a_rendered_frame() {
    insta::assert_snapshot!(ask(&MadeUp { burst_percent: 0, ..MadeUp::default() }, 5, true));
}

#[test]
fn packets_are_found_in_a_ledger_that_knows_only_times_and_sizes() {
    let what = MadeUp::default();
    let frame = first(&joined(&what).0.rows, |r| r.status == Status::Frozen);
    assert_eq!(ask(&what, frame, false), ask(&what, frame, true));
}

#[test]
fn the_chain_goes_back_to_the_key_frame() {
    let rows = joined(&MadeUp { gop: 10, frames: 40, ..MadeUp::default() }).0.rows;
    let ids: Vec<u32> = chain(&rows, 23, Stream::Rgb).iter().map(|r| r.frame_id).collect();
    assert_eq!(ids, [20, 21, 22, 23]);
    assert_eq!(
        ask(&MadeUp { frames: 5, ..MadeUp::default() }, 9999, true),
        "frame 9999 has no rgb picture\n"
    );
}
