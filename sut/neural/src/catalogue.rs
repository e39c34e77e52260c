//! The systems with networks, by name.

use crate::dcvcrt::DCVCRT;
use crate::dcvcrt_lite::DCVCRT_LITE;
use crate::reparo;
use systems::catalogue::System;
use systems::identity::networks;
use systems::revo;

/// Every one.
pub const SYSTEMS: &[System] = &[
    System {
        name: "reparo",
        about: "Reparo: tokens in independent packets, what is lost is generated (lite networks, CPU)",
        own_clock: reparo::OWN_CLOCK,
        describe: reparo::describe,
        depends_on: |options| networks(&reparo::weight_files(options)?),
        run: reparo::run,
    },
    System {
        name: "revo-dcvcrt",
        about: "ReVo: RGB + depth, DCVC-RT (weights by option), parity on key frames, deadline-driven assembly",
        own_clock: revo::OWN_CLOCK,
        describe: |options| revo::describe(options, &DCVCRT),
        depends_on: |options| revo::depends_on(options, &DCVCRT),
        run: |mode, dir, spec| revo::run(mode, dir, spec, &DCVCRT),
    },
    System {
        name: "revo-dcvcrt-lite",
        about: "ReVo: RGB + depth, DCVC-RT-lite for one CPU core, parity on key frames, deadline-driven assembly",
        own_clock: revo::OWN_CLOCK,
        describe: |options| revo::describe(options, &DCVCRT_LITE),
        depends_on: |options| revo::depends_on(options, &DCVCRT_LITE),
        run: |mode, dir, spec| revo::run(mode, dir, spec, &DCVCRT_LITE),
    },
];
