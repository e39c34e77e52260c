//! A trace's file as lines: byte-order marks, the ends of lines of three systems, comments, and files that are no text at all.

/// Largest file that is read: an hour at 100 Mbit/s in mahimahi's format has 30 million lines and about 240 MB.
pub(super) const LARGEST: u64 = 256 << 20;

/// Most rows or opportunities of a trace: what the largest file holds at its shortest lines would be several times the file in memory.
pub(super) const MOST: usize = 32_000_000;

/// The file's text without its byte-order mark, or the line (0: the file as a whole) and why it is none.
pub(super) fn decode(bytes: &[u8]) -> Result<&str, (usize, String)> {
    const KINDS: [(&[u8], &str); 6] = [
        (&[0x1f, 0x8b], "it is compressed (gzip): unpack it first, `gzip -d`"),
        (b"PK\x03\x04", "it is a ZIP archive or a spreadsheet (.xlsx): unpack it, or save it as CSV"),
        (b"\xfd7zXZ", "it is compressed (xz): unpack it first, `xz -d`"),
        (&[0xd4, 0xc3, 0xb2, 0xa1], "it is a packet capture (pcap), not a trace of a link's rate"),
        (&[0x0a, 0x0d, 0x0d, 0x0a], "it is a packet capture (pcapng), not a trace of a link's rate"),
        (b"\x89HDF", "it is an HDF5 file: write its columns as CSV"),
    ];
    const WIDE: &str = "UTF-16, as PowerShell's `>` and some editors write it: save it as UTF-8, e.g. \
                        `iconv -f UTF-16 -t UTF-8 FILE > NEW`, or in PowerShell `| Out-File -Encoding utf8`";
    if let Some((_, what)) = KINDS.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return Err((0, (*what).into()));
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        return Err((0, format!("its byte-order mark says {WIDE}")));
    }
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let line = |at: usize| bytes[..at].iter().filter(|b| **b == b'\n').count() + 1;
    if let Some(at) = bytes.iter().position(|b| *b == 0) {
        let every_other = bytes.len() > 3 && bytes[1] == 0 && bytes[3] == 0 || bytes[0] == 0;
        let what = if every_other {
            format!("it has a NUL in every other byte, like {WIDE}")
        } else {
            "not text: it holds a NUL".into()
        };
        return Err((line(at), what));
    }
    std::str::from_utf8(bytes)
        .map_err(|e| (line(e.valid_up_to()), "not text: it is no UTF-8; save it as UTF-8".into()))
}

/// Lines that say something, with their numbers from 1, trimmed. Blank lines and those that begin with `#` are left out. Lines end with LF,
/// CR LF, or (in a file without any LF) CR.
pub(super) fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    let end = if text.contains('\n') { '\n' } else { '\r' };
    let said = |line: &&str| !line.is_empty() && !line.starts_with('#');
    text.split(end)
        .map(str::trim)
        .enumerate()
        .map(|(i, line)| (i + 1, line))
        .filter(move |(_, line)| said(line))
}

/// A line without the comment behind it: from a `#` that white space stands before.
pub(super) fn uncommented(line: &str) -> &str {
    let mut from = 0;
    while let Some(at) = line[from..].find('#').map(|at| from + at) {
        if line[..at].ends_with(char::is_whitespace) {
            return line[..at].trim_end();
        }
        from = at + 1;
    }
    line
}

/// A piece of the file for a message: its first characters.
pub(super) fn shown(text: &str) -> String {
    const LONGEST: usize = 60;
    if text.chars().count() <= LONGEST {
        return text.to_owned();
    }
    text.chars().take(LONGEST).chain("...".chars()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_and_ends_of_lines() {
        let read = |bytes: &[u8]| {
            let text = decode(bytes).map_err(|(line, what)| format!("{line}: {what}"))?;
            Ok::<_, String>(lines(text).map(|(n, l)| format!("{n}:{l}")).collect::<Vec<_>>())
        };
        assert_eq!(read(b"\xef\xbb\xbf1\r\n\r\n# c\r\n 2\r\n").unwrap(), ["1:1", "4:2"]);
        assert_eq!(read(b"1\r2\r").unwrap(), ["1:1", "2:2"]);
        for wide in [&b"\xff\xfe1\0\n\0"[..], b"\xfe\xff\x001\0\n", b"1\0\r\0\n\0", b"\x001\0\n"] {
            assert!(read(wide).unwrap_err().contains("UTF-16"), "{wide:?}");
        }
        assert!(read(b"1\n\xff\n").unwrap_err().starts_with("2: not text"));
        assert!(read(b"12 34\n5\0\n").unwrap_err().starts_with("2: not text"));
        assert!(read(&[0x1f, 0x8b, 8, 0]).unwrap_err().contains("gzip"));
        assert_eq!(uncommented("0 1 2ms 0 # wet#day"), "0 1 2ms 0");
        assert_eq!(uncommented("a#b"), "a#b");
    }
}
