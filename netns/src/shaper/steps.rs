//! What one direction's qdiscs are to be, and when: the channel's beginning and the rows of its trace.

use super::tc::{self, Changes};
use super::{Plan, kernel_plan};
use crate::error::LabError;
use crate::lateness::Histogram;
use link::{LinkSpec, Schedule};
use netlink_sys::Socket;

/// Something that was put in force.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Applied {
    /// The row, counted from 0 over all repetitions (0 without a trace); `None`: the delay alone, before the channel begins.
    pub(crate) played: Option<u64>,
    /// `CLOCK_MONOTONIC` before the datagram was sent, ns.
    pub(crate) before: u64,
    /// The same after the kernel had acknowledged it.
    pub(crate) after: u64,
}

/// The qdiscs of one direction over time.
pub(crate) struct Steps {
    interface: u32,
    plan: Plan,
    schedule: Option<Schedule>,
    setup_delay_ns: u64,
    socket: Socket,
    /// `CLOCK_MONOTONIC` of the channel's beginning; unknown until somebody says it or a packet comes.
    begin: Option<u64>,
    /// The row that comes next, and when, `CLOCK_MONOTONIC`.
    due: Option<(u64, u64)>,
    applied: Vec<Applied>,
}

impl Steps {
    /// For qdiscs that [`super::install`] has hung: the channel is in force, with its first row.
    pub(crate) fn new(interface: u32, spec: &LinkSpec, seed: u64) -> Result<Steps, LabError> {
        let plan = kernel_plan(spec, seed).map_err(LabError::Shaper)?;
        Ok(Steps {
            interface,
            schedule: spec.schedule()?.filter(|_| plan.traced.any()),
            plan,
            setup_delay_ns: spec.setup_delay().as_nanos() as u64,
            socket: tc::open().map_err(|e| LabError::io("open rtnetlink", e))?,
            begin: None,
            due: None,
            applied: vec![Applied { played: Some(0), before: 0, after: 0 }],
        })
    }

    pub(crate) fn plan(&self) -> &Plan {
        &self.plan
    }

    /// Whether somebody has to say when a trace begins.
    pub(crate) fn waits_for_a_beginning(&self) -> bool {
        self.schedule.is_some() && self.begin.is_none()
    }

    pub(crate) fn applied(&self) -> &[Applied] {
        &self.applied
    }

    /// The first packet has come at `at`: a trace that nobody has started begins with it.
    pub(crate) fn first_packet(&mut self, at: u64) {
        if self.begin.is_none() {
            self.begin = Some(at);
            self.plan_next(0);
        }
    }

    /// The channel begins at `begin`. Until then there is the delay alone; in force, too, if that is now.
    pub(crate) fn start(&mut self, begin: u64, now: u64, clock: impl Fn() -> u64) -> Result<(), LabError> {
        self.begin = Some(begin);
        self.due = Some((0, begin));
        if begin > now {
            let open = self.plan.open(self.setup_delay_ns);
            let before = clock();
            self.put(&open, true, true)?;
            self.applied = vec![Applied { played: None, before, after: clock() }];
        } else {
            // Whatever was in force before has nothing to do with this run.
            self.applied = vec![Applied { played: None, before: 0, after: 0 }];
        }
        Ok(())
    }

    /// `CLOCK_MONOTONIC` of the next change.
    pub(crate) fn due(&self) -> Option<u64> {
        self.due.map(|(_, at)| at)
    }

    /// Makes the change that is due at `now`, if one is. Rows that are over already are skipped.
    pub(crate) fn step(
        &mut self,
        now: u64,
        clock: impl Fn() -> u64,
        lateness: &mut Histogram,
    ) -> Result<(), LabError> {
        let Some((mut played, at)) = self.due.filter(|(_, at)| *at <= now) else { return Ok(()) };
        let begins = played == 0;
        while let Some((next, _)) = self.after(played).filter(|(_, start)| *start <= now) {
            played = next;
        }
        let plan = match self.schedule.as_ref().and_then(|s| s.row(played)) {
            Some(row) => self.plan.at_row(played, &row),
            None => self.plan,
        };
        let traced = self.plan.traced;
        let before = clock();
        self.put(&plan, begins || traced.rate, begins || traced.netem())?;
        let after = clock();
        self.applied.push(Applied { played: Some(played), before, after });
        // Of the first row that was due: until now the one before it has been in force.
        lateness.add(after.saturating_sub(at));
        self.plan_next(played);
        Ok(())
    }

    fn plan_next(&mut self, played: u64) {
        self.due = self.after(played);
    }

    /// The row after the `played`-th and when it begins.
    fn after(&self, played: u64) -> Option<(u64, u64)> {
        let row = self.schedule.as_ref()?.row(played + 1)?;
        Some((played + 1, self.begin?.saturating_add(row.start.as_nanos())))
    }

    fn put(&self, plan: &Plan, rate: bool, netem: bool) -> Result<(), LabError> {
        let mut changes = Changes::default();
        super::change(&mut changes, self.interface, plan, rate, netem);
        changes.apply_through(&self.socket)
    }
}
