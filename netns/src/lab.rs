//! A lab: `[sender] ─ veth ─ [emulator] ─ veth ─ [receiver]`, three namespaces that exist as long as this value; and beside them one for a
//! third party, if it is asked for, which has no veth pair.

use crate::control::{Answer, Bound, Health, Request, Setup, Timing};
use crate::error::LabError;
use crate::names::{LabName, Role};
use crate::privilege;
use crate::real_time::RealTime;
use crate::shaper::{Choice, Shaper};
use crate::space::{self, Space};
use crate::{EMULATOR_FLAG, EMULATOR_PROGRAM, SOURCES, leftovers, lost, shaper, wire};
use link::{Direction, Link, LinkSpec};
use nix::sched::{CloneFlags, setns};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::{Duration, Instant};

/// What to build.
#[derive(Clone, Debug)]
pub struct LabConfig {
    /// Sender to receiver.
    pub forward: LinkSpec,
    /// Receiver to sender.
    pub reverse: LinkSpec,
    /// Seed of the channel; each direction derives its own, see [`link::Direction::seed`].
    pub seed: u64,
    /// Who shapes.
    pub shaper: Shaper,
    /// Where the fate ledger goes (JSON lines, [`crate::ledger`]); none is written without it.
    pub fates: Option<PathBuf>,
    /// How the emulator meets its departures.
    pub timing: Timing,
    /// What lateness makes a run invalid.
    pub bound: Bound,
    /// A namespace for a third party ([`End::Server`]), too.
    pub server: bool,
    /// The program that becomes the emulator: its `main` calls [`crate::emulator_main_if_asked`] first. If absent, `freezeframe-emulator` beside
    /// this program, or this program.
    pub emulator: Option<PathBuf>,
}

impl LabConfig {
    /// The same channel in both directions' own specifications, everything else at its default.
    #[must_use]
    pub fn new(forward: LinkSpec, reverse: LinkSpec, seed: u64) -> LabConfig {
        LabConfig {
            forward,
            reverse,
            seed,
            shaper: Shaper::Auto,
            fates: None,
            timing: Timing::default(),
            bound: Bound::default(),
            server: false,
            emulator: None,
        }
    }
}

/// An end of the path, or who is beside it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Where packets of the forward path come from.
    Sender,
    /// Where they go.
    Receiver,
    /// No end of the path: a third party with a network of its own, whose only device is its loopback.
    Server,
}

impl End {
    fn role(self) -> Role {
        match self {
            End::Sender => Role::Tx,
            End::Receiver => Role::Rx,
            End::Server => Role::Server,
        }
    }
}

/// The network of one end of a lab, for a process that is to live in it.
#[derive(Debug)]
pub struct Network(std::fs::File);

impl Network {
    /// Runs `f` inside, on a thread of its own. A socket made there stays there, wherever it is used.
    ///
    /// # Errors
    /// When it cannot be entered.
    pub fn inside<T: Send>(&self, f: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        space::on_a_thread_of_its_own(|| {
            setns(&self.0, CloneFlags::CLONE_NEWNET)
                .map_err(|e| LabError::io("enter a namespace", e.into()))?;
            Ok(f())
        })
    }

    pub(crate) fn handle(&self) -> std::io::Result<std::fs::File> {
        self.0.try_clone()
    }
}

/// Three namespaces, two veth pairs and an emulator. Dropping it ends every process inside and removes everything; if this
/// process is killed instead, the emulator does the same, and if both are, the next lab or `doctor --clean` does.
#[derive(Debug)]
pub struct Lab {
    name: LabName,
    /// Sender's, emulator's, receiver's, and the third party's if there is one; empty once removed.
    spaces: Vec<Space>,
    emulator: Option<Emulator>,
    choice: Choice,
    bound: Bound,
    stopped: Option<Health>,
}

#[derive(Debug)]
struct Emulator {
    child: Child,
    input: ChildStdin,
    /// In a mutex only so that a lab can be shared between threads that use its ends.
    answers: Mutex<Receiver<String>>,
}

/// Longest wait for an answer of the emulator. It answers within a millisecond; a loaded machine may starve it.
const PATIENCE: Duration = Duration::from_secs(10);

impl Lab {
    /// Builds a lab and returns when packets can flow. Leftovers of owners that were killed are removed on the way.
    ///
    /// # Errors
    /// When namespaces are not permitted, a link specification is refused, or the kernel or the emulator fails; whatever
    /// had been made by then is removed.
    pub fn new(config: &LabConfig) -> Result<Lab, LabError> {
        privilege::become_capable()?;
        // Refused here rather than by the emulator: nothing has been made yet.
        for (spec, direction) in
            [(&config.forward, Direction::Forward), (&config.reverse, Direction::Reverse)]
        {
            Link::new(spec, direction.seed(config.seed))?;
        }
        let choice = shaper::choose(config.shaper, &config.forward, &config.reverse, config.fates.is_some())?;
        leftovers::clean()?;
        let taken = leftovers::labs();
        let name = LabName::for_this_process(&taken)
            .ok_or_else(|| LabError::Emulator("no free subnet: 32768 labs exist".to_owned()))?;
        // Hundreds of small steps, each of which a busy machine may put off for a scheduler's turn.
        let real_time = RealTime::begin();
        // From here on `Drop` removes what exists.
        let mut lab =
            Lab { name, spaces: Vec::new(), emulator: None, choice, bound: config.bound, stopped: None };
        for role in Role::ALL.into_iter().filter(|r| config.server || *r != Role::Server) {
            lab.spaces.push(Space::create(&name.namespace(role))?);
        }
        // The program loads while the veth pairs are made.
        lab.emulator = Some(lab.start_emulator(config)?);
        wire::lay(&name, &lab.spaces[0], &lab.spaces[1], &lab.spaces[2])?;
        if let Some(server) = lab.spaces.get(Role::Server as usize) {
            wire::loopback_alone(server)?;
        }
        let mut output = lab.set_up_emulator(config)?;
        let first = lab.first_answer(&mut output)?;
        drop(real_time);
        lab.listen(output)?;
        match first {
            Answer::Ready => Ok(lab),
            other => Err(unexpected(&other)),
        }
    }

    /// `command`, to be run inside the namespace of `end`. The child enters it between fork and exec; its descendants
    /// inherit it.
    #[must_use]
    pub fn command(&self, end: End, mut command: Command) -> Command {
        let space = self.space(end.role());
        let handle = space.file().try_clone();
        // SAFETY: between fork and exec only a system call is made, on a handle that the closure owns.
        unsafe {
            command.pre_exec(move || match &handle {
                Ok(file) => setns(file, CloneFlags::CLONE_NEWNET).map_err(Into::into),
                Err(e) => Err(std::io::Error::from(e.kind())),
            });
        }
        command
    }

    /// The network of `end`.
    ///
    /// # Errors
    /// When its handle cannot be duplicated.
    pub fn network(&self, end: End) -> Result<Network, LabError> {
        let file = self.space(end.role()).file().try_clone();
        file.map(Network).map_err(|e| LabError::io("duplicate a namespace handle", e))
    }

    /// Runs `f` inside the namespace of `end`, on a thread of its own. A socket made there stays there, wherever it is used.
    ///
    /// # Errors
    /// When the namespace cannot be entered.
    pub fn inside<T: Send>(&self, end: End, f: impl FnOnce() -> T + Send) -> Result<T, LabError> {
        self.space(end.role()).run(f)
    }

    /// Address of `end`, on its `eth0`.
    #[must_use]
    pub fn address(&self, end: End) -> Ipv4Addr {
        self.name.address(end.role())
    }

    /// Name of the namespace of `end`, for `ip netns exec`.
    #[must_use]
    pub fn namespace(&self, end: End) -> String {
        self.name.namespace(end.role())
    }

    /// Who shapes and why.
    #[must_use]
    pub fn shaper(&self) -> &Choice {
        &self.choice
    }

    /// Process id of the emulator, while it runs.
    #[must_use]
    pub fn emulator_pid(&self) -> Option<u32> {
        self.emulator.as_ref().map(|e| e.child.id())
    }

    /// Makes now the time zero of the run: both links start anew (traces at their beginning, draws at the first), and
    /// so do counters and ledger. Without it, time zero is the first shaped packet.
    ///
    /// # Errors
    /// When the emulator is gone.
    pub fn start(&mut self) -> Result<(), LabError> {
        self.start_at(monotonic_ns(), Duration::ZERO)
    }

    /// As [`Lab::start`], with time zero at this reading of `CLOCK_MONOTONIC` (ns), which may lie ahead: the one that the
    /// endpoints were told, so that the ledger and their events share a clock. Packets before it count as entering at zero.
    /// The channel begins `setup` later: until then packets meet the path's delay and nothing else (handshakes are not
    /// under test), and the intervals of the channel are counted from there, as in virtual time.
    ///
    /// # Errors
    /// When the emulator is gone.
    pub fn start_at(&mut self, at_ns: u64, setup: Duration) -> Result<(), LabError> {
        self.ask(Request::Start { at_ns, begins_ns: setup.as_nanos() as u64 })?;
        match self.answer()? {
            Answer::Started => Ok(()),
            other => Err(unexpected(&other)),
        }
    }

    /// Lateness and counts so far.
    ///
    /// # Errors
    /// When the emulator is gone: then the run is worthless.
    pub fn health(&mut self) -> Result<Health, LabError> {
        if let Some(health) = &self.stopped {
            return Ok(health.clone());
        }
        self.ask(Request::Health)?;
        self.read_health()
    }

    /// Finishes the ledger, removes everything, and returns the last word on the run's health.
    ///
    /// # Errors
    /// When the emulator was gone already or something cannot be removed.
    pub fn stop(mut self) -> Result<Health, LabError> {
        let health = self.finish();
        let removed = self.remove();
        removed.and(health)
    }

    fn finish(&mut self) -> Result<Health, LabError> {
        self.ask(Request::Stop)?;
        let health = self.read_health()?;
        self.stopped = Some(health.clone());
        Ok(health)
    }

    fn read_health(&mut self) -> Result<Health, LabError> {
        match self.answer()? {
            Answer::Health(health) => {
                let mut health = Health { shaper_reason: self.choice.reason.clone(), ..*health };
                // The emulator is in its own namespace and does not see what the ends' sockets had no room for.
                health.forward.lost.endpoint = self.without_room(End::Receiver)?;
                health.reverse.lost.endpoint = self.without_room(End::Sender)?;
                health.judge(self.bound);
                Ok(health)
            }
            other => Err(unexpected(&other)),
        }
    }

    fn without_room(&self, end: End) -> Result<u64, LabError> {
        self.inside(end, lost::without_room)?.map_err(|e| LabError::io("read the counters of UDP", e))
    }

    /// # Panics
    /// For [`Role::Server`] in a lab that was not asked for one.
    fn space(&self, role: Role) -> &Space {
        &self.spaces[role as usize]
    }

    /// Starts the emulator's program in its namespace. It waits for [`Lab::set_up_emulator`].
    fn start_emulator(&self, config: &LabConfig) -> Result<Emulator, LabError> {
        let beside = std::env::current_exe().map(|own| own.with_file_name(EMULATOR_PROGRAM));
        let beside = beside.ok().filter(|program| config.emulator.is_none() && program.is_file());
        // Not `current_exe`: the file may have been replaced by a rebuild since this process started.
        let own = || config.emulator.clone().unwrap_or_else(|| PathBuf::from("/proc/self/exe"));
        let mut command = Command::new(beside.clone().unwrap_or_else(own));
        command.arg(EMULATOR_FLAG).arg(self.name.to_string()).stdin(Stdio::piped()).stdout(Stdio::piped());
        if beside.is_some() {
            command.arg(SOURCES).arg(format!("/proc/{}/exe", std::process::id()));
        }
        // Its own process group: Ctrl-C must not reach it, for it cleans up when this process has died of it.
        command.process_group(0);
        let handle = self
            .space(Role::Emulator)
            .file()
            .try_clone()
            .map_err(|e| LabError::io("duplicate a namespace handle", e))?;
        // SAFETY: only a system call on an owned handle between fork and exec.
        unsafe {
            command.pre_exec(move || setns(&handle, CloneFlags::CLONE_NEWNET).map_err(Into::into));
        }
        let mut child = command.spawn().map_err(|e| LabError::io("start the emulator", e))?;
        let Some(input) = child.stdin.take() else {
            return Err(LabError::Emulator("has no pipes".to_owned()));
        };
        Ok(Emulator { child, input, answers: Mutex::new(channel().1) })
    }

    /// Tells the emulator what to do, once there are veth pairs; returns what it answers on.
    fn set_up_emulator(&mut self, config: &LabConfig) -> Result<ChildStdout, LabError> {
        let setup = Setup {
            addresses: [self.name.address(Role::Tx), self.name.address(Role::Rx)],
            forward: config.forward.clone(),
            reverse: config.reverse.clone(),
            seed: config.seed,
            fates: config.fates.clone(),
            timing: config.timing,
            bound: config.bound,
            kernel: self.choice.kernel,
        };
        if self.choice.kernel {
            shaper::install(self.space(Role::Emulator), &config.forward, &config.reverse, config.seed)?;
        }
        let line = serde_json::to_string(&setup).map_err(|e| LabError::Emulator(e.to_string()))?;
        let Some(Emulator { child, input, .. }) = &mut self.emulator else {
            return Err(LabError::Emulator("has not been started".to_owned()));
        };
        writeln!(input, "{line}").map_err(|_| ended(child))?;
        child.stdout.take().ok_or_else(|| LabError::Emulator("has no pipes".to_owned()))
    }

    /// Waits for the first answer on this thread: a reader's thread would have to be woken, and then wake this one.
    fn first_answer(&mut self, output: &mut ChildStdout) -> Result<Answer, LabError> {
        let give_up = Instant::now() + PATIENCE;
        let mut line = Vec::new();
        while !line.ends_with(b"\n") {
            let left = give_up.saturating_duration_since(Instant::now()).as_millis() as libc::c_int;
            let mut watched = libc::pollfd { fd: output.as_raw_fd(), events: libc::POLLIN, revents: 0 };
            // SAFETY: the structure outlives the call.
            if unsafe { libc::poll(&raw mut watched, 1, left) } == 0 {
                return Err(silent());
            }
            // It says one line and then waits to be asked: nothing beyond the line can be read here.
            let mut buffer = [0; 4096];
            match output.read(&mut buffer) {
                Ok(0) => return Err(self.emulator.as_mut().map_or_else(silent, |e| ended(&mut e.child))),
                Ok(n) => line.extend_from_slice(&buffer[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(LabError::io("listen to the emulator", e)),
            }
        }
        understood(String::from_utf8_lossy(&line).trim_end())
    }

    /// Hands everything the emulator says from now on to [`Lab::answer`].
    fn listen(&mut self, output: ChildStdout) -> Result<(), LabError> {
        let (sender, answers) = channel();
        std::thread::Builder::new()
            .spawn(move || {
                for line in BufReader::new(output).lines().map_while(Result::ok) {
                    if sender.send(line).is_err() {
                        break;
                    }
                }
            })
            .map_err(|e| LabError::io("start a thread", e))?;
        if let Some(emulator) = &mut self.emulator {
            emulator.answers = Mutex::new(answers);
        }
        Ok(())
    }

    fn ask(&mut self, request: Request) -> Result<(), LabError> {
        let emulator =
            self.emulator.as_mut().ok_or_else(|| LabError::Emulator("has been stopped".to_owned()))?;
        let line = serde_json::to_string(&request).map_err(|e| LabError::Emulator(e.to_string()))?;
        writeln!(emulator.input, "{line}").map_err(|_| ended(&mut emulator.child))
    }

    fn answer(&mut self) -> Result<Answer, LabError> {
        let emulator =
            self.emulator.as_mut().ok_or_else(|| LabError::Emulator("has been stopped".to_owned()))?;
        let answers =
            emulator.answers.get_mut().map_err(|_| LabError::Emulator("its reader panicked".to_owned()))?;
        match answers.recv_timeout(PATIENCE) {
            Ok(line) => understood(&line),
            Err(RecvTimeoutError::Timeout) => Err(silent()),
            Err(RecvTimeoutError::Disconnected) => Err(ended(&mut emulator.child)),
        }
    }

    /// Ends every process inside, removes the namespaces and with them the veth pairs. Does nothing the second time.
    fn remove(&mut self) -> Result<(), LabError> {
        let _real_time = (!self.spaces.is_empty()).then(RealTime::begin);
        if let Some(Emulator { mut child, input, answers }) = self.emulator.take() {
            if self.stopped.is_none() {
                // Nobody asked for the health. Killed rather than told to end, so that it cannot race us to the cleanup.
                let _ = child.kill();
            }
            drop((input, answers));
            wait(&mut child, Duration::from_secs(2));
        }
        let mut result = Ok(());
        space::end_processes(&self.spaces);
        for space in self.spaces.drain(..) {
            result = result.and(space.remove());
        }
        result
    }
}

impl Drop for Lab {
    fn drop(&mut self) {
        if self.stopped.is_none() && self.emulator.is_some() && !std::thread::panicking() {
            // So that the ledger is whole; a dead emulator fails at once.
            let _ = self.finish();
        }
        if let Err(e) = self.remove() {
            eprintln!("warning: {e}; `freezeframe doctor --clean` tries again");
        }
    }
}

fn monotonic_ns() -> u64 {
    let clock = nix::time::ClockId::CLOCK_MONOTONIC;
    nix::time::clock_gettime(clock).map_or(0, |t| Duration::from(t).as_nanos() as u64)
}

fn wait(child: &mut Child, patience: Duration) {
    let give_up = Instant::now() + patience;
    while Instant::now() < give_up {
        if !matches!(child.try_wait(), Ok(None)) {
            return;
        }
        std::thread::sleep(Duration::from_micros(300));
    }
    let _ = child.kill();
    let _ = child.wait();
}

fn ended(child: &mut Child) -> LabError {
    wait(child, Duration::from_secs(1));
    LabError::Emulator(match child.try_wait() {
        Ok(Some(status)) => format!("ended before it was told to ({status})"),
        _ => "closed its output".to_owned(),
    })
}

fn silent() -> LabError {
    LabError::Emulator(format!("said nothing for {} s", PATIENCE.as_secs()))
}

fn understood(line: &str) -> Result<Answer, LabError> {
    serde_json::from_str(line).map_err(|_| {
        LabError::Emulator(format!(
            "said `{line}`: does its main call netns::emulator_main_if_asked() first?"
        ))
    })
}

fn unexpected(answer: &Answer) -> LabError {
    LabError::Emulator(match answer {
        Answer::Failed(why) => why.clone(),
        other => format!("gave an answer to another question: {other:?}"),
    })
}
