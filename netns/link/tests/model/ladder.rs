//! Packet by packet, exactly: these files change only when fates of a seed change.

use crate::specs::link;
use link::*;
use std::fmt::Write;

/// `>` goes in, `<` comes out (`*` damaged, `+` second copy), `x` is dropped.
fn ladder(text: &str, seed: u64, packets: u64, every_us: u64, bytes: u32) -> String {
    let mut link = link(text, seed);
    let mut ladder =
        format!("{text}\nseed {seed}, {packets} packets of {bytes} bytes every {every_us} us\n\n");
    let out = |ladder: &mut String, link: &mut Link, now: Timestamp| {
        while let Some(d) = link.deliver(now) {
            let marks = [if d.corrupted { "*" } else { "" }, if d.duplicate { "+" } else { "" }].concat();
            let _ = writeln!(ladder, "{:>18}  <  {}{marks}", d.at.to_string(), d.id);
        }
    };
    for n in 0..packets {
        let now = Timestamp(n * every_us * 1000);
        out(&mut ladder, &mut link, now);
        let fate = link.enqueue(now, n, bytes);
        let Channel { state, row } = fate.channel();
        let mut words = String::new();
        if let Some(state) = state {
            let _ = write!(words, " {state:?}");
        }
        if let Some(row) = row {
            let _ = write!(words, " row {row}");
        }
        match fate.cause() {
            None => {
                let _ = writeln!(ladder, "{:>18} >   {n}{words}", now.to_string());
            }
            Some(cause) => {
                let _ = writeln!(ladder, "{:>18} x   {n}{words} {}", now.to_string(), cause.name());
            }
        }
    }
    out(&mut ladder, &mut link, Timestamp::MAX);
    ladder
}

#[test]
fn frame_stepped_chain() {
    insta::assert_snapshot!(ladder(
        "delay = { base = \"20ms\" }\nloss = { model = \"gilbert_elliott\", good_to_bad = \"30%\", bad_to_good = \"60%\", \
         loss_good = \"4%\", loss_bad = \"75%\", step = \"frame\", loss_by = \"new\" }",
        1,
        40,
        8333,
        1200
    ));
}

#[test]
fn netem_with_everything() {
    insta::assert_snapshot!(ladder(
        "model = \"netem\"\ndelay = { base = \"10ms\", jitter = \"6ms\", reorder = true }\nduplicate = \"20%\"\ncorrupt = \"20%\"\n\
         loss = { model = \"gilbert_elliott\", good_to_bad = \"20%\", bad_to_good = \"50%\", loss_good = \"4%\", loss_bad = \"75%\", \
         step = \"packet\", loss_by = \"old\" }",
        42,
        24,
        2000,
        1200
    ));
}

#[test]
fn papers_queue() {
    insta::assert_snapshot!(ladder(
        "delay = { base = \"20ms\" }\nbottleneck = { rate = \"320kbit\", queue = \"6000B\" }",
        1,
        20,
        17_000,
        1100
    ));
}

#[test]
fn native_with_everything() {
    insta::assert_snapshot!(ladder(
        "order = \"queue_first\"\noverhead = \"28B\"\nduplicate = \"20%\"\ncorrupt = \"20%\"\n\
         delay = { base = \"10ms\", jitter = \"6ms\", reorder = true }\nloss = { model = \"random\", probability = \"20%\" }\n\
         bottleneck = { rate = \"2Mbit\", burst = \"3000B\", queue = \"12ms\" }",
        7,
        24,
        3000,
        1000
    ));
}

#[test]
fn revo_compat_window() {
    insta::assert_snapshot!(ladder(
        "trace = { shipped = \"wifi-lossy\", format = \"revo\", replay = \"compat\", offset = \"4030ms\" }",
        3,
        40,
        5000,
        1200
    ));
}
