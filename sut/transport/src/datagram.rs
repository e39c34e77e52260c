//! One message per UDP datagram: no handshake, no congestion control, nothing repeated.
//!
//! With [`Overhead::Datachannel`] the UDP payload is
//!
//! ```text
//!   message │ 0…3 zero bytes (padding to a multiple of 4) │ 63 zero bytes │ padding u8 │ channel u8
//! ```
//!
//! so that it is exactly as long as the DTLS record in which a data channel carries the same message
//! (test `same_size_on_the_wire`): 12 SCTP common header, 16 DATA chunk header, padding to 4 bytes
//! (RFC 9260, 3.1 and 3.3.1), 13 DTLS record header, 8 explicit nonce and 16 tag of AES-128-GCM
//! (RFC 6347, 4.1; RFC 5288). The reverse direction of a data channel, which carries SACKs, is empty here.
//!
//! With [`Overhead::None`] the UDP payload is the message.

use crate::{CHANNELS, Config, Counters, Message, Overhead, RGB, Refusal, SendResult};
use std::collections::VecDeque;

/// Bytes that SCTP and DTLS add to a message whose length is a multiple of 4.
pub const DATA_CHANNEL_OVERHEAD: usize = 12 + 16 + 13 + 8 + 16;

/// Longest UDP payload in bytes: one unfragmented packet of 1500 bytes with IPv4 and UDP headers.
pub const MAX_UDP_PAYLOAD: usize = 1500 - 20 - 8;

/// UDP payload in bytes that carries a message of `len` bytes.
#[must_use]
pub fn wire_size(overhead: Overhead, len: usize) -> usize {
    match overhead {
        Overhead::None => len,
        Overhead::Datachannel => len.next_multiple_of(4) + DATA_CHANNEL_OVERHEAD,
    }
}

/// A peer of the datagram transport.
#[derive(Debug)]
pub struct Datagram {
    overhead: Overhead,
    started: bool,
    closed: bool,
    transmits: VecDeque<Vec<u8>>,
    messages: VecDeque<Message>,
    counters: Counters,
}

impl Datagram {
    pub(crate) fn new(config: &Config) -> Self {
        Datagram {
            overhead: config.overhead,
            started: false,
            closed: false,
            transmits: VecDeque::new(),
            messages: VecDeque::new(),
            counters: Counters::default(),
        }
    }

    pub(crate) fn handle_start(&mut self) {
        self.started = true;
    }

    /// This transport has nothing to agree on.
    pub(crate) fn handle_signal(&mut self) {
        self.counters.malformed_signals += 1;
    }

    pub(crate) fn handle_datagram(&mut self, payload: &[u8]) {
        self.counters.datagrams_in += 1;
        match self.unframe(payload) {
            Some(message) if !self.closed => {
                self.counters.received_messages += 1;
                self.counters.received_bytes += message.bytes.len() as u64;
                self.messages.push_back(message);
            }
            Some(_) => {}
            None => self.counters.malformed_datagrams += 1,
        }
    }

    pub(crate) fn send(&mut self, channel: u8, message: &[u8]) -> SendResult {
        let size = wire_size(self.overhead, message.len());
        let refusal = if self.closed {
            Refusal::Closed
        } else if !self.started {
            Refusal::NotOpen
        } else if usize::from(channel) >= CHANNELS {
            Refusal::NoChannel
        } else if size > MAX_UDP_PAYLOAD {
            Refusal::TooLarge
        } else {
            let mut payload = Vec::with_capacity(size);
            payload.extend_from_slice(message);
            if self.overhead == Overhead::Datachannel {
                payload.resize(size, 0);
                payload[size - 2] = (size - DATA_CHANNEL_OVERHEAD - message.len()) as u8;
                payload[size - 1] = channel;
            }
            self.counters.sent_messages += 1;
            self.counters.sent_bytes += message.len() as u64;
            self.counters.datagrams_out += 1;
            self.counters.datagram_bytes_out += size as u64;
            self.transmits.push_back(payload);
            return SendResult::Accepted;
        };
        self.counters.refuse(refusal);
        SendResult::Refused(refusal)
    }

    pub(crate) fn poll_transmit(&mut self) -> Option<Vec<u8>> {
        self.transmits.pop_front()
    }

    pub(crate) fn poll_message(&mut self) -> Option<Message> {
        self.messages.pop_front()
    }

    pub(crate) fn is_open(&self) -> bool {
        self.started && !self.closed
    }

    pub(crate) fn is_closed(&self) -> bool {
        self.closed
    }

    pub(crate) fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Says nothing to the peer: there is no message for it.
    pub(crate) fn close(&mut self) {
        self.closed = true;
    }

    fn unframe(&self, payload: &[u8]) -> Option<Message> {
        match self.overhead {
            Overhead::None => Some(Message { channel: RGB, bytes: payload.to_vec() }),
            Overhead::Datachannel => {
                let body = payload.len().checked_sub(DATA_CHANNEL_OVERHEAD)?;
                let (padding, channel) = (payload[payload.len() - 2], payload[payload.len() - 1]);
                let length = body.checked_sub(usize::from(padding))?;
                let valid = padding < 4 && body.is_multiple_of(4) && usize::from(channel) < CHANNELS;
                valid.then(|| Message { channel, bytes: payload[..length].to_vec() })
            }
        }
    }
}

impl Counters {
    pub(crate) fn refuse(&mut self, refusal: Refusal) {
        match refusal {
            Refusal::NotOpen | Refusal::Closed => self.refused_not_open += 1,
            Refusal::TooLarge | Refusal::NoChannel => self.refused_invalid += 1,
        }
    }
}
