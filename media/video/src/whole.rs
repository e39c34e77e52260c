//! Is a file all there? By the sizes that its container states, never by how many pictures it announces: a recording's header is
//! often a guess, and its time stamps may have gaps.

use std::fs::File;
use std::io::{Read, Result, Seek, SeekFrom};
use std::path::Path;

/// What a file lacks.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Missing {
    pub bytes: u64,
    /// The element that ends after the file does.
    pub of: String,
}

/// Bytes that an element of the outermost level claims beyond the end of the file. `None` for whole files, for containers that
/// state no sizes, and for what is no regular file.
pub(crate) fn missing(path: &Path, demuxer: &str) -> Result<Option<Missing>> {
    let mut file = File::open(path)?;
    let meta = file.metadata()?;
    if !meta.is_file() {
        return Ok(None);
    }
    let end = meta.len();
    let kinds: Vec<&str> = demuxer.split(',').collect();
    Ok(if kinds.contains(&"mov") {
        boxes(&mut file, end)?
    } else if kinds.contains(&"matroska") {
        segment(&mut file, end)?
    } else if kinds.contains(&"avi") {
        riff(&mut file, end)?
    } else if kinds.contains(&"mpegts") {
        packets(&mut file, end)?
    } else if kinds.contains(&"ivf") {
        frames(&mut file, end)?
    } else if kinds.contains(&"ogg") {
        pages(&mut file, end)?
    } else if kinds.contains(&"gif") {
        trailer(&mut file, end)?
    } else {
        None
    })
}

fn beyond(claimed: u64, end: u64, of: impl Into<String>) -> Option<Missing> {
    (claimed > end).then(|| Missing { bytes: claimed - end, of: of.into() })
}

/// ISO/IEC 14496-12, 4.2: a size of 32 bits, four letters; size 1 means 64 bits follow, 0 up to the end.
fn boxes(file: &mut File, end: u64) -> Result<Option<Missing>> {
    let mut at = 0;
    while at < end {
        let mut head = [0; 16];
        file.seek(SeekFrom::Start(at))?;
        let got = fill(file, &mut head)?;
        if got < 8 {
            return Ok(Some(Missing { bytes: 8 - got as u64, of: "last box's header".into() }));
        }
        let (short, name) = (be32(&head), &head[4..8]);
        if !name.iter().all(|c| c.is_ascii_graphic() || *c == b' ' || *c == 0xa9) {
            return Ok(None); // padding or rubbish after the last box
        }
        let size = match short {
            0 => return Ok(None),
            1 if got == 16 => be32(&head[8..]) << 32 | be32(&head[12..]),
            1 => return Ok(Some(Missing { bytes: 16 - got as u64, of: "last box's header".into() })),
            size => size,
        };
        if size < 8 {
            return Ok(None);
        }
        let claimed = at.saturating_add(size);
        if let Some(missing) = beyond(claimed, end, format!("`{}` box", String::from_utf8_lossy(name))) {
            return Ok(Some(missing));
        }
        at = claimed;
    }
    Ok(None)
}

/// RFC 8794, 4 to 6: element number and size as variable-length integers; a size of all ones is unknown (a live recording).
fn segment(file: &mut File, end: u64) -> Result<Option<Missing>> {
    const SEGMENT: u64 = 0x1853_8067;
    let mut at = 0;
    for _ in 0..8 {
        let mut head = [0; 12];
        file.seek(SeekFrom::Start(at))?;
        let got = fill(file, &mut head)?;
        let Some((number, used)) = vint(&head[..got], false) else { return Ok(None) };
        let Some((size, more)) = vint(&head[used..got], true) else { return Ok(None) };
        let (start, unknown) = (at + (used + more) as u64, size == (1 << (7 * more)) - 1);
        if number == SEGMENT {
            return Ok(if unknown { None } else { beyond(start.saturating_add(size), end, "segment") });
        }
        if unknown {
            return Ok(None);
        }
        at = start.saturating_add(size);
    }
    Ok(None)
}

/// An EBML integer and its length in bytes; `value` strips the length marker.
fn vint(bytes: &[u8], value: bool) -> Option<(u64, usize)> {
    let first = *bytes.first()?;
    let length = first.leading_zeros() as usize + 1;
    if length > 8 || bytes.len() < length {
        return None;
    }
    let head = if value { u64::from(first) & ((1 << (8 - length)) - 1) } else { u64::from(first) };
    Some((bytes[1..length].iter().fold(head, |n, b| n << 8 | u64::from(*b)), length))
}

/// The first `RIFF` chunk; 0 and all ones stand where a writer could not go back to fill it in.
fn riff(file: &mut File, end: u64) -> Result<Option<Missing>> {
    let mut head = [0; 8];
    if fill(file, &mut head)? < 8 {
        return Ok(None);
    }
    let size = u64::from(u32::from_le_bytes([head[4], head[5], head[6], head[7]]));
    Ok(if size == 0 || size >= 0xffff_ff00 { None } else { beyond(size + 8, end, "RIFF chunk") })
}

/// ISO/IEC 13818-1: packets of 188 bytes, in some files with 4 or 16 bytes around each.
fn packets(file: &mut File, end: u64) -> Result<Option<Missing>> {
    let mut head = vec![0; 8 * 208];
    let got = fill(file, &mut head)?;
    for (size, sync) in [(188, 0), (192, 4), (204, 0), (208, 0)] {
        let packets = (got / size).min(8);
        if packets >= 2 && (0..packets).all(|i| head[i * size + sync] == 0x47) {
            let part = end % size as u64;
            let of = "last transport packet";
            return Ok((part > 0).then(|| Missing { bytes: size as u64 - part, of: of.into() }));
        }
    }
    Ok(None)
}

/// Each picture of an IVF file has its length before it; the count in the header is not believed.
fn frames(file: &mut File, end: u64) -> Result<Option<Missing>> {
    let mut head = [0; 32];
    if fill(file, &mut head)? < 32 {
        return Ok(None);
    }
    let mut at = u64::from(u16::from_le_bytes([head[6], head[7]])).max(32);
    while at < end {
        let mut frame = [0; 12];
        file.seek(SeekFrom::Start(at))?;
        let got = fill(file, &mut frame)?;
        if got < 12 {
            return Ok(Some(Missing { bytes: 12 - got as u64, of: "last picture's header".into() }));
        }
        let size = u64::from(u32::from_le_bytes([frame[0], frame[1], frame[2], frame[3]]));
        if let Some(missing) = beyond(at + 12 + size, end, "last picture") {
            return Ok(Some(missing));
        }
        at += 12 + size;
    }
    Ok(None)
}

/// RFC 3533, 6: a page's header of 27 bytes, the last of them how many lacing values follow; their sum is its content's length.
fn pages(file: &mut File, end: u64) -> Result<Option<Missing>> {
    let mut at = 0;
    while at < end {
        let mut head = [0; 27 + 255];
        file.seek(SeekFrom::Start(at))?;
        let got = fill(file, &mut head)?;
        if got >= 4 && !head.starts_with(b"OggS") {
            return Ok(None); // rubbish between pages, which a reader skips
        }
        let header = 27 + if got > 26 { usize::from(head[26]) } else { 0 };
        if got < header {
            let bytes = (header - got) as u64;
            return Ok(Some(Missing { bytes, of: "last page's header".into() }));
        }
        at += header as u64 + head[27..header].iter().map(|n| u64::from(*n)).sum::<u64>();
    }
    Ok(beyond(at, end, "last page"))
}

/// GIF89a, 27: a file ends with the byte 3B.
fn trailer(file: &mut File, end: u64) -> Result<Option<Missing>> {
    let mut last = [0];
    file.seek(SeekFrom::Start(end.saturating_sub(1)))?;
    let whole = fill(file, &mut last)? == 1 && last[0] == 0x3b;
    // How much lies before the trailer nobody knows.
    Ok((!whole).then(|| Missing { bytes: 1, of: "end (at least the trailer)".into() }))
}

fn be32(bytes: &[u8]) -> u64 {
    u64::from(u32::from_be_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]))
}

fn fill(file: &mut File, buffer: &mut [u8]) -> Result<usize> {
    let mut got = 0;
    while got < buffer.len() {
        match file.read(&mut buffer[got..])? {
            0 => break,
            n => got += n,
        }
    }
    Ok(got)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(bytes: &[u8], demuxer: &str) -> Option<u64> {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("file");
        std::fs::write(&path, bytes).unwrap();
        missing(&path, demuxer).unwrap().map(|m| m.bytes)
    }

    /// The bytes are written out from the containers' definitions.
    #[test]
    fn sizes_that_containers_state() {
        let mp4 = [&[0, 0, 0, 8][..], b"ftyp", &[0, 0, 0, 12], b"mdat", &[1, 2, 3, 4]].concat();
        assert_eq!(of(&mp4, "mov,mp4"), None);
        assert_eq!(of(&mp4[..19], "mov,mp4"), Some(1));
        assert_eq!(of(&mp4[..13], "mov,mp4"), Some(3));
        let open = [&[0, 0, 0, 8][..], b"ftyp", &[0, 0, 0, 0], b"mdat", &[1]].concat();
        assert_eq!(of(&open, "mov,mp4"), None, "size 0: up to the end");
        let mkv = |size: u8| {
            [&[0x1a, 0x45, 0xdf, 0xa3, 0x81, 0, 0x18, 0x53, 0x80, 0x67, size][..], &[9; 5]].concat()
        };
        assert_eq!(of(&mkv(0x85), "matroska,webm"), None);
        assert_eq!(of(&mkv(0x88), "matroska,webm"), Some(3));
        assert_eq!(of(&mkv(0xff), "matroska,webm"), None, "unknown: a live recording");
        let avi = |size: u32| [b"RIFF", &size.to_le_bytes()[..], b"AVI "].concat();
        assert_eq!([4, 0, u32::MAX, 9].map(|s| of(&avi(s), "avi")), [None, None, None, Some(5)]);
        let ts = [&[0x47; 1][..], &[0; 187]].concat().repeat(3);
        assert_eq!((of(&ts, "mpegts"), of(&ts[..500], "mpegts")), (None, Some(64)));
        let ivf = [&b"DKIF\0\0\x20\0"[..], &[0xff; 24], &[3, 0, 0, 0], &[0; 8], &[1, 2, 3]].concat();
        let ogg = [&b"OggS"[..], &[0; 22], &[2, 255, 3], &[7; 258]].concat().repeat(2);
        assert_eq!(
            (of(&ogg, "ogg"), of(&ogg[..570], "ogg"), of(&ogg[..300], "ogg")),
            (None, Some(4), Some(14))
        );
        assert_eq!((of(b"GIF89a;", "gif"), of(b"GIF89a", "gif")), (None, Some(1)));
        assert_eq!((of(&ivf, "ivf"), of(&ivf[..46], "ivf"), of(&ivf[..40], "ivf")), (None, Some(1), Some(4)));
    }
}
