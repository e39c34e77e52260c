//! The files of the original's test tool: parameter sets and frames (microsoft/DCVC, `DCVC-RT`, `stream_helper`).
//!
//! | part | bytes |
//! |---|---|
//! | parameter set | `id`, height, width, `two coders << 2 | from picture` |
//! | frame | `type << 4 | id` (1: key, 2: predicted), qp, length, the stream |
//!
//! Height, width and length take one byte below 2^7, two (big-endian, top bits `10`) below 2^14, else four (top bits `11`).

/// Parameter sets that a file can name.
pub const MOST_SETS: usize = 16;
/// Largest number that a file can hold.
pub const LARGEST: u32 = (1 << 30) - 1;

/// What frames have in common.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ParameterSet {
    /// Rows.
    pub height: u32,
    /// Columns.
    pub width: u32,
    /// Two coders.
    pub two: bool,
    /// A predicted frame refers to the picture before it, not to its feature.
    pub from_picture: bool,
}

/// One frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// Its parameter set.
    pub set: ParameterSet,
    /// Decodable alone.
    pub key: bool,
    /// Quantiser.
    pub qp: u8,
    /// The entropy coder's bytes.
    pub stream: &'a [u8],
}

/// Why a file was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ContainerError {
    /// It ends inside something.
    #[error("the stream ends inside a {0}")]
    Truncated(&'static str),
    /// A type that no frame of one picture has.
    #[error("unit type {0} is not known (0: parameter set, 1: key frame, 2: predicted frame)")]
    Type(u8),
    /// A frame before its parameter set.
    #[error("a frame names parameter set {0}, which was not sent")]
    Set(u8),
    /// More sets than a file can name.
    #[error("more than {MOST_SETS} different parameter sets")]
    Sets,
    /// A number that does not fit.
    #[error("{0} does not fit into 30 bits")]
    Large(usize),
}

/// Writes a file.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    sets: Vec<ParameterSet>,
    bytes: Vec<u8>,
}

impl Writer {
    /// Adds a frame, and its parameter set when it is new.
    ///
    /// # Errors
    /// [`ContainerError::Sets`] and [`ContainerError::Large`]; nothing is written then.
    pub fn frame(&mut self, frame: &Frame) -> Result<(), ContainerError> {
        let set = frame.set;
        let length = u32::try_from(frame.stream.len()).ok().filter(|&n| n <= LARGEST);
        let length = length.ok_or(ContainerError::Large(frame.stream.len()))?;
        if let Some(&large) = [set.height, set.width].iter().find(|&&n| n > LARGEST) {
            return Err(ContainerError::Large(large as usize));
        }
        let known = self.sets.iter().position(|s| *s == set);
        let id = known.unwrap_or(self.sets.len());
        let id =
            u8::try_from(id).ok().filter(|&id| usize::from(id) < MOST_SETS).ok_or(ContainerError::Sets)?;
        if known.is_none() {
            self.sets.push(set);
            self.bytes.push(id);
            number(&mut self.bytes, set.height);
            number(&mut self.bytes, set.width);
            self.bytes.push(u8::from(set.two) << 2 | u8::from(set.from_picture));
        }
        self.bytes.extend([if frame.key { 0x10 } else { 0x20 } | id, frame.qp]);
        number(&mut self.bytes, length);
        self.bytes.extend_from_slice(frame.stream);
        Ok(())
    }

    /// The file so far.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

fn number(bytes: &mut Vec<u8>, value: u32) {
    match value {
        0..0x80 => bytes.extend(value.to_be_bytes().last()),
        0x80..0x4000 => bytes.extend(&(value | 0x8000).to_be_bytes()[2..]),
        _ => bytes.extend((value | 0xC000_0000).to_be_bytes()),
    }
}

/// Reads a file, frame by frame.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    bytes: &'a [u8],
    sets: [Option<ParameterSet>; MOST_SETS],
}

impl<'a> Reader<'a> {
    /// A reader of a whole file.
    #[must_use]
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, sets: [None; MOST_SETS] }
    }

    fn byte(&mut self, of: &'static str) -> Result<u8, ContainerError> {
        let (&first, rest) = self.bytes.split_first().ok_or(ContainerError::Truncated(of))?;
        self.bytes = rest;
        Ok(first)
    }

    fn number(&mut self, of: &'static str) -> Result<u32, ContainerError> {
        let first = self.byte(of)?;
        let more = match first >> 6 {
            0 | 1 => return Ok(u32::from(first)),
            2 => 1,
            _ => 3,
        };
        let mut value = u32::from(first & 0x3F);
        for _ in 0..more {
            value = value << 8 | u32::from(self.byte(of)?);
        }
        Ok(value)
    }

    /// The next frame; `None` at the end.
    ///
    /// # Errors
    /// Name what is cut off or unknown.
    pub fn frame(&mut self) -> Result<Option<Frame<'a>>, ContainerError> {
        while !self.bytes.is_empty() {
            let head = self.byte("header")?;
            let id = usize::from(head & 0x0F);
            match head >> 4 {
                0 => {
                    let of = "parameter set";
                    let (height, width) = (self.number(of)?, self.number(of)?);
                    let flags = self.byte(of)?;
                    let (two, from_picture) = (flags >> 2 & 1 == 1, flags & 1 == 1);
                    self.sets[id] = Some(ParameterSet { height, width, two, from_picture });
                }
                kind @ (1 | 2) => {
                    let set = self.sets[id].ok_or(ContainerError::Set(head & 0x0F))?;
                    let qp = self.byte("frame")?;
                    let length = self.number("frame")? as usize;
                    let stream = self.bytes.get(..length).ok_or(ContainerError::Truncated("frame"))?;
                    self.bytes = &self.bytes[length..];
                    return Ok(Some(Frame { set, key: kind == 1, qp, stream }));
                }
                kind => return Err(ContainerError::Type(kind)),
            }
        }
        Ok(None)
    }
}
