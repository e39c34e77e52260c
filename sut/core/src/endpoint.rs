//! The one shape every system under test has: a state machine that takes the time as input.

use contract::Event;
use link::Timestamp;
use std::time::Duration;

/// A sender or a receiver.
///
/// The driver calls [`handle`](Endpoint::handle), then drains [`poll_output`](Endpoint::poll_output)
/// until `None`, then sleeps until [`poll_timeout`](Endpoint::poll_timeout) or the next input.
/// `handle` is infallible: a datagram that makes no sense becomes an [`Event`], never an error or a panic.
pub trait Endpoint {
    /// Work that takes time (a codec, a neural net); runs outside the state machine.
    type Job;
    /// What a finished job brings back.
    type Done;
    /// Takes one input at `now`; `now` never decreases.
    fn handle(&mut self, now: Timestamp, input: Input<'_, Self::Done>);
    /// Next thing the endpoint wants done, in order.
    fn poll_output(&mut self) -> Option<Output<Self::Job>>;
    /// When to call `handle(Input::Timeout)` if nothing else happens before.
    fn poll_timeout(&self) -> Option<Timestamp>;
    /// True once the endpoint has nothing more to do and its process may end.
    fn is_finished(&self) -> bool;
}

/// What an endpoint can be told.
#[derive(Debug)]
pub enum Input<'a, Done> {
    /// The run begins (time zero of the run). Sent once, before everything but [`Input::Signal`]s.
    Start,
    /// The time asked for by `poll_timeout` has come.
    Timeout,
    /// A datagram from the network: UDP payload, without IP and UDP headers.
    Datagram(&'a [u8]),
    /// Frame `frame_id` (from 0) has been captured; its picture is with the [`Worker`], not here.
    Capture(u32),
    /// A job is done.
    JobDone(Done),
    /// An out-of-band message of the peer (session description and the like).
    Signal(&'a [u8]),
}

/// What an endpoint wants done.
#[derive(Debug)]
pub enum Output<Job> {
    /// Send a datagram to the peer: UDP payload, without IP and UDP headers.
    Transmit(Vec<u8>),
    /// Run a job; its result comes back as [`Input::JobDone`], jobs of one endpoint in order.
    Job(Job),
    /// Something happened that the record must show.
    Event(Event),
    /// Send an out-of-band message to the peer.
    Signal(Vec<u8>),
}

/// Runs the jobs of one endpoint, in order. Owns codecs and pictures.
pub trait Worker {
    /// See [`Endpoint::Job`].
    type Job;
    /// See [`Endpoint::Done`].
    type Done;
    /// Does the work.
    ///
    /// # Errors
    /// What ends the run: a codec, a network or a disk that fails. Damage from the network is none.
    fn run(&mut self, job: Self::Job) -> Result<Self::Done, WorkerError>;
    /// Time that the job is charged in virtual time; known before it runs.
    fn cost(&self, job: &Self::Job) -> Duration;
    /// Work that the last job left and nobody waits for; called when its result is out, before the next job. Not charged in
    /// virtual time.
    ///
    /// # Errors
    /// As for [`run`](Worker::run).
    fn settle(&mut self) -> Result<(), WorkerError> {
        Ok(())
    }
    /// Which of several processor cores does the job; each does its jobs in order.
    fn core(_job: &Self::Job) -> usize {
        0
    }
    /// The part of the work that each core does.
    fn cores(self) -> Vec<Self>
    where
        Self: Sized,
    {
        vec![self]
    }
}

/// Why a worker cannot go on.
pub type WorkerError = Box<dyn std::error::Error + Send + Sync>;
