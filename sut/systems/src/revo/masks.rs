//! The per-frame masks that ReVo's recovery model and its evaluation read, from a run's events.

use contract::{Event, EventKind, Side, Status, Stream};

/// Masks of one stream; every list has one entry per captured frame.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FrameMasks {
    /// 0 clean, 1 from the first damaged P frame to the end of its GOP, 2 the whole GOP of a lost key frame.
    pub damage: Vec<u8>,
    /// True from a frame without payload or picture to the end of its GOP.
    pub corrupted: Vec<bool>,
    /// As `corrupted`, but a P frame that arrived and did not decode does not set it.
    pub frozen: Vec<bool>,
}

/// Computes the masks of `stream`. GOPs have `gop` frames and no mask crosses a GOP's border.
///
/// Unlike the original's, which reads log lines, ends at the last damaged frame and misses decoder failures,
/// these cover every captured frame and every way to lose one.
#[must_use]
pub fn masks(events: &[Event], stream: Stream, frames: u32, gop: u32) -> FrameMasks {
    let count = frames as usize;
    let (mut payload, mut picture, mut exact) = (vec![false; count], vec![false; count], vec![false; count]);
    let set = |list: &mut Vec<bool>, frame: u32| {
        if let Some(entry) = list.get_mut(frame as usize) {
            *entry = true;
        }
    };
    for event in events.iter().filter(|e| e.side == Side::Receiver) {
        match &event.kind {
            EventKind::Complete { frame, stream: s, .. } if *s == stream => {
                set(&mut payload, *frame);
                set(&mut exact, *frame);
            }
            EventKind::Decoded { frame, stream: s, picture: p } if *s == stream => {
                set(&mut payload, *frame); // partial frames reach the decoder too
                if p.is_some() {
                    set(&mut picture, *frame);
                }
            }
            EventKind::Slot { frame, stream: s, status: Status::Frozen, .. } if *s == stream => {
                if let Some(entry) = exact.get_mut(*frame as usize) {
                    *entry = false; // decoded too late is as good as lost
                }
            }
            _ => {}
        }
    }
    let mut masks = FrameMasks::default();
    for start in (0..count).step_by(gop.max(1) as usize) {
        let end = (start + gop.max(1) as usize).min(count);
        let (mut damage, mut corrupted, mut frozen) = (0, false, false);
        for f in start..end {
            if f == start {
                damage = if exact[f] && picture[f] { 0 } else { 2 };
                corrupted = !picture[f];
                frozen = !picture[f];
            } else {
                if damage == 0 && !(exact[f] && picture[f]) {
                    damage = 1;
                }
                corrupted |= !payload[f] || !picture[f];
                frozen |= !payload[f];
            }
            masks.damage.push(damage);
            masks.corrupted.push(corrupted);
            masks.frozen.push(frozen);
        }
    }
    masks
}
