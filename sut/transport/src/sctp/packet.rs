//! SCTP packets (RFC 9260, 3; RFC 3758, 3.2; RFC 6525, 3.1), to and from bytes.

/// Bytes of the common header.
pub const COMMON_HEADER: usize = 12;
/// Bytes of a DATA chunk before its user data.
pub const DATA_HEADER: usize = 16;
/// Bytes of a chunk's or a parameter's header.
const HEADER: usize = 4;

/// A packet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Packet {
    /// Source port.
    pub source: u16,
    /// Destination port.
    pub destination: u16,
    /// Verification tag: the receiver's, 0 with an INIT.
    pub tag: u32,
    /// Chunks in order.
    pub chunks: Vec<Chunk>,
}

/// A chunk.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Chunk {
    /// A message or a part of one.
    Data(Data),
    /// Asks for an association.
    Init(Init),
    /// Answers INIT, with a cookie.
    InitAck(Init),
    /// Acknowledges TSNs.
    Sack(Sack),
    /// Is anybody there? The body comes back.
    Heartbeat(Vec<u8>),
    /// Somebody is.
    HeartbeatAck(Vec<u8>),
    /// Ends the association at once.
    Abort {
        /// The tag is the sender's: it had no other (T bit).
        reflected: bool,
    },
    /// No more data will come.
    Shutdown {
        /// Cumulative TSN acknowledged.
        cumulative: u32,
    },
    /// Neither here.
    ShutdownAck,
    /// Error causes, as they are.
    Error(Vec<u8>),
    /// Brings the cookie back.
    CookieEcho(Vec<u8>),
    /// The association is up.
    CookieAck,
    /// The association is down.
    ShutdownComplete {
        /// The tag is the sender's (T bit).
        reflected: bool,
    },
    /// Re-configuration parameters.
    Reconfig(Vec<Parameter>),
    /// TSNs that will not come.
    ForwardTsn(ForwardTsn),
    /// A type that is not known here.
    Unknown(u8),
}

/// A DATA chunk.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Data {
    /// Transmission sequence number.
    pub tsn: u32,
    /// Stream.
    pub stream: u16,
    /// Stream sequence number; of no meaning when unordered.
    pub ssn: u16,
    /// Payload protocol identifier.
    pub ppid: u32,
    /// First part of a message.
    pub first: bool,
    /// Last part of a message.
    pub last: bool,
    /// To be handed on as it comes.
    pub unordered: bool,
    /// The sender asks for a SACK at once (RFC 7053).
    pub immediate: bool,
    /// The bytes; never empty on the wire.
    pub bytes: Vec<u8>,
}

/// INIT and INIT ACK.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Init {
    /// Tag that the sender wants to see in what it receives.
    pub tag: u32,
    /// Receive window.
    pub window: u32,
    /// Streams it sends on.
    pub outbound: u16,
    /// Streams it can receive on.
    pub inbound: u16,
    /// Its first TSN.
    pub tsn: u32,
    /// Options.
    pub parameters: Vec<Parameter>,
}

/// A parameter: type and value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parameter {
    /// Type.
    pub kind: u16,
    /// Value, without padding.
    pub value: Vec<u8>,
}

impl Parameter {
    /// State cookie.
    pub const COOKIE: u16 = 7;
    /// Supported extensions.
    pub const EXTENSIONS: u16 = 0x8008;
    /// FORWARD TSN supported.
    pub const FORWARD_TSN: u16 = 0xc000;
    /// Outgoing SSN reset request (RFC 6525, 4.1).
    pub const RESET_OUT: u16 = 13;
    /// Re-configuration response (RFC 6525, 4.4).
    pub const RESPONSE: u16 = 16;
}

/// A SACK.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sack {
    /// Everything up to here has come.
    pub cumulative: u32,
    /// Receive window left.
    pub window: u32,
    /// What has come besides, as offsets from `cumulative`, both ends included.
    pub gaps: Vec<(u16, u16)>,
    /// TSNs that came again.
    pub duplicates: Vec<u32>,
}

/// A FORWARD TSN.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ForwardTsn {
    /// Do not wait for anything up to here.
    pub cumulative: u32,
    /// Ordered streams concerned, with the last sequence number that is skipped.
    pub streams: Vec<(u16, u16)>,
}

/// Why bytes are no packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Malformed {
    /// Too short for what it says it is.
    #[error("SCTP packet is too short")]
    Short,
    /// Damaged, or no SCTP.
    #[error("SCTP checksum does not match")]
    Checksum,
    /// A length that cannot be.
    #[error("SCTP chunk of type {0} has an impossible length")]
    Length(u8),
}

/// Types of chunks (RFC 9260, 3.2).
mod kind {
    pub const DATA: u8 = 0;
    pub const INIT: u8 = 1;
    pub const INIT_ACK: u8 = 2;
    pub const SACK: u8 = 3;
    pub const HEARTBEAT: u8 = 4;
    pub const HEARTBEAT_ACK: u8 = 5;
    pub const ABORT: u8 = 6;
    pub const SHUTDOWN: u8 = 7;
    pub const SHUTDOWN_ACK: u8 = 8;
    pub const ERROR: u8 = 9;
    pub const COOKIE_ECHO: u8 = 10;
    pub const COOKIE_ACK: u8 = 11;
    pub const SHUTDOWN_COMPLETE: u8 = 14;
    pub const RECONFIG: u8 = 130;
    pub const FORWARD_TSN: u8 = 192;
}

const LAST: u8 = 1;
const FIRST: u8 = 2;
const UNORDERED: u8 = 4;
const IMMEDIATE: u8 = 8;
const REFLECTED: u8 = 1;

impl Packet {
    /// Reads a packet; anything may be in it.
    ///
    /// # Errors
    /// See [`Malformed`].
    pub fn parse(bytes: &[u8]) -> Result<Packet, Malformed> {
        let header = bytes.get(..COMMON_HEADER).ok_or(Malformed::Short)?;
        let stated = u32::from_le_bytes(array(header, 8));
        if checksum(bytes) != stated {
            return Err(Malformed::Checksum);
        }
        let mut packet = Packet {
            source: u16_at(header, 0),
            destination: u16_at(header, 2),
            tag: u32_at(header, 4),
            chunks: Vec::new(),
        };
        let mut rest = &bytes[COMMON_HEADER..];
        while rest.len() >= HEADER {
            let (kind, flags, length) = (rest[0], rest[1], usize::from(u16_at(rest, 2)));
            let body = rest.get(HEADER..length).ok_or(Malformed::Length(kind))?;
            packet.chunks.push(Chunk::parse(kind, flags, body).ok_or(Malformed::Length(kind))?);
            rest = rest.get(length.next_multiple_of(4)..).unwrap_or(&[]);
        }
        if packet.chunks.is_empty() { Err(Malformed::Short) } else { Ok(packet) }
    }

    /// Writes it.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let mut out = Vec::with_capacity(COMMON_HEADER + self.chunks.iter().map(Chunk::len).sum::<usize>());
        out.extend_from_slice(&self.source.to_be_bytes());
        out.extend_from_slice(&self.destination.to_be_bytes());
        out.extend_from_slice(&self.tag.to_be_bytes());
        out.extend_from_slice(&[0; 4]);
        for chunk in &self.chunks {
            chunk.encode(&mut out);
        }
        seal(&mut out);
        out
    }
}

/// Puts the checksum of a packet right; shorter bytes than a common header stay as they are.
pub fn seal(packet: &mut [u8]) {
    let sum = checksum(packet);
    if let Some(field) = packet.get_mut(8..12) {
        field.copy_from_slice(&sum.to_le_bytes());
    }
}

impl Chunk {
    fn parse(kind: u8, flags: u8, body: &[u8]) -> Option<Chunk> {
        let exactly = |length: usize| body.get(..length);
        Some(match kind {
            kind::DATA => {
                let fixed = exactly(DATA_HEADER - HEADER)?;
                let bytes = body[fixed.len()..].to_vec();
                if bytes.is_empty() {
                    return None; // RFC 9260, 3.3.1: a DATA chunk has user data
                }
                Chunk::Data(Data {
                    tsn: u32_at(fixed, 0),
                    stream: u16_at(fixed, 4),
                    ssn: u16_at(fixed, 6),
                    ppid: u32_at(fixed, 8),
                    first: flags & FIRST != 0,
                    last: flags & LAST != 0,
                    unordered: flags & UNORDERED != 0,
                    immediate: flags & IMMEDIATE != 0,
                    bytes,
                })
            }
            kind::INIT | kind::INIT_ACK => {
                let fixed = exactly(16)?;
                let init = Init {
                    tag: u32_at(fixed, 0),
                    window: u32_at(fixed, 4),
                    outbound: u16_at(fixed, 8),
                    inbound: u16_at(fixed, 10),
                    tsn: u32_at(fixed, 12),
                    parameters: parameters(&body[16..])?,
                };
                if kind == kind::INIT { Chunk::Init(init) } else { Chunk::InitAck(init) }
            }
            kind::SACK => {
                let fixed = exactly(12)?;
                let (gaps, duplicates) = (usize::from(u16_at(fixed, 8)), usize::from(u16_at(fixed, 10)));
                let lists = body.get(12..12 + 4 * (gaps + duplicates))?;
                let (gaps, duplicates) = lists.split_at(4 * gaps);
                Chunk::Sack(Sack {
                    cumulative: u32_at(fixed, 0),
                    window: u32_at(fixed, 4),
                    gaps: gaps.chunks_exact(4).map(|g| (u16_at(g, 0), u16_at(g, 2))).collect(),
                    duplicates: duplicates.chunks_exact(4).map(|d| u32_at(d, 0)).collect(),
                })
            }
            kind::HEARTBEAT => Chunk::Heartbeat(body.to_vec()),
            kind::HEARTBEAT_ACK => Chunk::HeartbeatAck(body.to_vec()),
            kind::ABORT => Chunk::Abort { reflected: flags & REFLECTED != 0 },
            kind::SHUTDOWN => Chunk::Shutdown { cumulative: u32_at(exactly(4)?, 0) },
            kind::SHUTDOWN_ACK => Chunk::ShutdownAck,
            kind::ERROR => Chunk::Error(body.to_vec()),
            kind::COOKIE_ECHO => Chunk::CookieEcho(body.to_vec()),
            kind::COOKIE_ACK => Chunk::CookieAck,
            kind::SHUTDOWN_COMPLETE => Chunk::ShutdownComplete { reflected: flags & REFLECTED != 0 },
            kind::RECONFIG => Chunk::Reconfig(parameters(body)?),
            kind::FORWARD_TSN => {
                let fixed = exactly(4)?;
                Chunk::ForwardTsn(ForwardTsn {
                    cumulative: u32_at(fixed, 0),
                    streams: body[4..].chunks_exact(4).map(|s| (u16_at(s, 0), u16_at(s, 2))).collect(),
                })
            }
            other => Chunk::Unknown(other),
        })
    }

    /// Bytes on the wire, padding included.
    #[must_use]
    pub fn len(&self) -> usize {
        let body = match self {
            Chunk::Data(data) => DATA_HEADER - HEADER + data.bytes.len(),
            Chunk::Init(init) | Chunk::InitAck(init) => 16 + parameters_len(&init.parameters),
            Chunk::Sack(sack) => 12 + 4 * (sack.gaps.len() + sack.duplicates.len()),
            Chunk::Heartbeat(b) | Chunk::HeartbeatAck(b) | Chunk::Error(b) | Chunk::CookieEcho(b) => b.len(),
            Chunk::Shutdown { .. } => 4,
            Chunk::Reconfig(list) => parameters_len(list),
            Chunk::ForwardTsn(forward) => 4 + 4 * forward.streams.len(),
            Chunk::Abort { .. }
            | Chunk::ShutdownAck
            | Chunk::CookieAck
            | Chunk::ShutdownComplete { .. }
            | Chunk::Unknown(_) => 0,
        };
        (HEADER + body).next_multiple_of(4)
    }

    /// Chunks are never empty: they have a header.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        false
    }

    /// May share a packet with others (RFC 9260, 3: not INIT, INIT ACK, SHUTDOWN COMPLETE).
    #[must_use]
    pub fn can_be_bundled(&self) -> bool {
        !matches!(self, Chunk::Init(_) | Chunk::InitAck(_) | Chunk::ShutdownComplete { .. })
    }

    fn encode(&self, out: &mut Vec<u8>) {
        let start = out.len();
        let (kind, flags) = match self {
            Chunk::Data(data) => {
                let flag = |set: bool, bit: u8| if set { bit } else { 0 };
                let flags = flag(data.first, FIRST)
                    | flag(data.last, LAST)
                    | flag(data.unordered, UNORDERED)
                    | flag(data.immediate, IMMEDIATE);
                (kind::DATA, flags)
            }
            Chunk::Init(_) => (kind::INIT, 0),
            Chunk::InitAck(_) => (kind::INIT_ACK, 0),
            Chunk::Sack(_) => (kind::SACK, 0),
            Chunk::Heartbeat(_) => (kind::HEARTBEAT, 0),
            Chunk::HeartbeatAck(_) => (kind::HEARTBEAT_ACK, 0),
            Chunk::Abort { reflected } => (kind::ABORT, u8::from(*reflected) * REFLECTED),
            Chunk::Shutdown { .. } => (kind::SHUTDOWN, 0),
            Chunk::ShutdownAck => (kind::SHUTDOWN_ACK, 0),
            Chunk::Error(_) => (kind::ERROR, 0),
            Chunk::CookieEcho(_) => (kind::COOKIE_ECHO, 0),
            Chunk::CookieAck => (kind::COOKIE_ACK, 0),
            Chunk::ShutdownComplete { reflected } => {
                (kind::SHUTDOWN_COMPLETE, u8::from(*reflected) * REFLECTED)
            }
            Chunk::Reconfig(_) => (kind::RECONFIG, 0),
            Chunk::ForwardTsn(_) => (kind::FORWARD_TSN, 0),
            Chunk::Unknown(kind) => (*kind, 0),
        };
        out.extend_from_slice(&[kind, flags, 0, 0]);
        let mut length = None;
        match self {
            Chunk::Data(data) => {
                out.extend_from_slice(&data.tsn.to_be_bytes());
                out.extend_from_slice(&data.stream.to_be_bytes());
                out.extend_from_slice(&data.ssn.to_be_bytes());
                out.extend_from_slice(&data.ppid.to_be_bytes());
                out.extend_from_slice(&data.bytes);
            }
            Chunk::Init(init) | Chunk::InitAck(init) => {
                out.extend_from_slice(&init.tag.to_be_bytes());
                out.extend_from_slice(&init.window.to_be_bytes());
                out.extend_from_slice(&init.outbound.to_be_bytes());
                out.extend_from_slice(&init.inbound.to_be_bytes());
                out.extend_from_slice(&init.tsn.to_be_bytes());
                length = Some(encode_parameters(&init.parameters, out));
            }
            Chunk::Sack(sack) => {
                out.extend_from_slice(&sack.cumulative.to_be_bytes());
                out.extend_from_slice(&sack.window.to_be_bytes());
                out.extend_from_slice(&(sack.gaps.len() as u16).to_be_bytes());
                out.extend_from_slice(&(sack.duplicates.len() as u16).to_be_bytes());
                for (from, to) in &sack.gaps {
                    out.extend_from_slice(&from.to_be_bytes());
                    out.extend_from_slice(&to.to_be_bytes());
                }
                for tsn in &sack.duplicates {
                    out.extend_from_slice(&tsn.to_be_bytes());
                }
            }
            Chunk::Heartbeat(body)
            | Chunk::HeartbeatAck(body)
            | Chunk::Error(body)
            | Chunk::CookieEcho(body) => out.extend_from_slice(body),
            Chunk::Shutdown { cumulative } => out.extend_from_slice(&cumulative.to_be_bytes()),
            Chunk::Reconfig(list) => length = Some(encode_parameters(list, out)),
            Chunk::ForwardTsn(forward) => {
                out.extend_from_slice(&forward.cumulative.to_be_bytes());
                for (stream, ssn) in &forward.streams {
                    out.extend_from_slice(&stream.to_be_bytes());
                    out.extend_from_slice(&ssn.to_be_bytes());
                }
            }
            Chunk::Abort { .. }
            | Chunk::ShutdownAck
            | Chunk::CookieAck
            | Chunk::ShutdownComplete { .. }
            | Chunk::Unknown(_) => {}
        }
        // The last parameter's padding is the chunk's and not counted (RFC 9260, 3.2).
        let length = (length.unwrap_or(out.len()) - start) as u16;
        out[start + 2..start + 4].copy_from_slice(&length.to_be_bytes());
        out.resize(start + usize::from(length).next_multiple_of(4), 0);
    }
}

fn parameters(mut bytes: &[u8]) -> Option<Vec<Parameter>> {
    let mut list = Vec::new();
    while bytes.len() >= HEADER {
        let length = usize::from(u16_at(bytes, 2));
        list.push(Parameter { kind: u16_at(bytes, 0), value: bytes.get(HEADER..length)?.to_vec() });
        bytes = bytes.get(length.next_multiple_of(4)..).unwrap_or(&[]);
    }
    Some(list)
}

fn parameters_len(list: &[Parameter]) -> usize {
    list.iter().map(|p| (HEADER + p.value.len()).next_multiple_of(4)).sum()
}

/// Returns where the last parameter ends before its padding.
fn encode_parameters(list: &[Parameter], out: &mut Vec<u8>) -> usize {
    let mut end = out.len();
    for parameter in list {
        out.resize(end.next_multiple_of(4), 0);
        out.extend_from_slice(&parameter.kind.to_be_bytes());
        out.extend_from_slice(&((HEADER + parameter.value.len()) as u16).to_be_bytes());
        out.extend_from_slice(&parameter.value);
        end = out.len();
    }
    end
}

fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut out = [0; N];
    out.copy_from_slice(&bytes[at..at + N]);
    out
}

/// Reads a big-endian number; the caller has checked the length.
pub(super) fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes(array(bytes, at))
}

/// Reads a big-endian number; the caller has checked the length.
pub(super) fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes(array(bytes, at))
}

/// CRC-32C of a packet whose checksum field counts as zero (RFC 9260, 6.8 and Appendix A).
fn checksum(packet: &[u8]) -> u32 {
    let mut crc = !0;
    for (i, byte) in packet.iter().enumerate() {
        let byte = if (8..12).contains(&i) { 0 } else { *byte };
        crc = TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
    }
    !crc
}

/// One step of the CRC for every byte, polynomial 0x1EDC6F41, bits reversed.
static TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u32;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { 0x82f6_3b78 ^ (crc >> 1) } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn checksum_of_the_standard_text() {
        // The check value of CRC-32C, over the ASCII digits 1 to 9 (RFC 3720, B.4 has the same polynomial).
        let mut crc = !0u32;
        for byte in b"123456789" {
            crc = TABLE[usize::from(crc as u8 ^ byte)] ^ (crc >> 8);
        }
        assert_eq!(!crc, 0xe306_9283);
    }

    #[test]
    fn an_abort_is_what_aiortc_sends() {
        let packet = Packet {
            source: 5000,
            destination: 5000,
            tag: 1,
            chunks: vec![Chunk::Abort { reflected: false }],
        };
        assert_eq!(packet.encode()[12..], [6, 0, 0, 4]);
    }

    #[test]
    fn init_carries_both_extensions_without_counting_its_padding() {
        let init = Chunk::Init(Init {
            parameters: vec![
                Parameter { kind: Parameter::FORWARD_TSN, value: vec![] },
                Parameter { kind: Parameter::EXTENSIONS, value: vec![0xc0, 0x82] },
            ],
            ..Init::default()
        });
        let bytes = Packet { source: 1, destination: 2, tag: 0, chunks: vec![init] }.encode();
        assert_eq!(bytes[32..], [0xc0, 0, 0, 4, 0x80, 8, 0, 6, 0xc0, 0x82, 0, 0]);
        assert_eq!(bytes[14..16], [0, 30], "20 of INIT, 4, 6; the two of padding are not counted");
    }

    fn some_bytes() -> impl Strategy<Value = Vec<u8>> {
        proptest::collection::vec(any::<u8>(), 0..40)
    }

    fn some_parameters() -> impl Strategy<Value = Vec<Parameter>> {
        let one = (any::<u16>(), some_bytes()).prop_map(|(kind, value)| Parameter { kind, value });
        proptest::collection::vec(one, 0..4)
    }

    fn some_chunk() -> impl Strategy<Value = Chunk> {
        let init = || {
            (any::<(u32, u32, u16, u16, u32)>(), some_parameters()).prop_map(|(f, parameters)| Init {
                tag: f.0,
                window: f.1,
                outbound: f.2,
                inbound: f.3,
                tsn: f.4,
                parameters,
            })
        };
        let data = (any::<(u32, u16, u16, u32)>(), any::<(bool, bool, bool, bool)>(), some_bytes()).prop_map(
            |(f, flags, mut bytes)| {
                bytes.push(7);
                Data {
                    tsn: f.0,
                    stream: f.1,
                    ssn: f.2,
                    ppid: f.3,
                    first: flags.0,
                    last: flags.1,
                    unordered: flags.2,
                    immediate: flags.3,
                    bytes,
                }
            },
        );
        let pairs = || proptest::collection::vec(any::<(u16, u16)>(), 0..5);
        prop_oneof![
            data.prop_map(Chunk::Data),
            init().prop_map(Chunk::Init),
            init().prop_map(Chunk::InitAck),
            (any::<(u32, u32)>(), pairs(), proptest::collection::vec(any::<u32>(), 0..4)).prop_map(
                |(f, gaps, duplicates)| Chunk::Sack(Sack { cumulative: f.0, window: f.1, gaps, duplicates })
            ),
            some_bytes().prop_map(Chunk::Heartbeat),
            some_bytes().prop_map(Chunk::HeartbeatAck),
            some_bytes().prop_map(Chunk::Error),
            some_bytes().prop_map(Chunk::CookieEcho),
            any::<bool>().prop_map(|reflected| Chunk::Abort { reflected }),
            any::<bool>().prop_map(|reflected| Chunk::ShutdownComplete { reflected }),
            any::<u32>().prop_map(|cumulative| Chunk::Shutdown { cumulative }),
            Just(Chunk::ShutdownAck),
            Just(Chunk::CookieAck),
            some_parameters().prop_map(Chunk::Reconfig),
            (any::<u32>(), pairs())
                .prop_map(|(cumulative, streams)| Chunk::ForwardTsn(ForwardTsn { cumulative, streams })),
        ]
    }

    proptest! {
        #[test]
        fn packets_come_back(ports in any::<(u16, u16)>(), tag in any::<u32>(),
                             chunks in proptest::collection::vec(some_chunk(), 1..6)) {
            let packet = Packet { source: ports.0, destination: ports.1, tag, chunks };
            let bytes = packet.encode();
            prop_assert_eq!(bytes.len(), COMMON_HEADER + packet.chunks.iter().map(Chunk::len).sum::<usize>());
            prop_assert_eq!(Packet::parse(&bytes), Ok(packet));
        }

        #[test]
        fn damage_is_noticed(chunk in some_chunk(), at in any::<prop::sample::Index>(), flip in 1u8..) {
            let mut bytes = Packet { source: 1, destination: 2, tag: 3, chunks: vec![chunk] }.encode();
            let at = at.index(bytes.len());
            bytes[at] ^= flip;
            prop_assert_eq!(Packet::parse(&bytes), Err(Malformed::Checksum));
        }

        #[test]
        fn anything_may_come(mut bytes in proptest::collection::vec(any::<u8>(), 0..200), right in any::<bool>()) {
            if right {
                seal(&mut bytes);
            }
            let _ = Packet::parse(&bytes);
        }
    }
}
