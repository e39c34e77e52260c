//! What session descriptions (RFC 8866) say of the packets: which payload type is a codec, which repairs it, and under which SSRC.
//!
//! Lines that matter: `m=`, `a=rtpmap` and `a=fmtp` (RFC 8866), `a=ssrc-group` (RFC 5576) with `FID` (retransmissions, RFC 4588) and
//! `FEC-FR` (repair, RFC 5956). Everything else is ignored, and nothing that a program writes can fail here.

use base64::Engine as _;
use serde_json::Value;
use std::collections::BTreeMap;

/// What a payload type is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Format {
    /// Video, by the name of its encoding in upper case, and its clock.
    Media(String, u32),
    /// Retransmissions of another payload type (RFC 4588).
    Rtx,
    /// Media and repair in one stream (RFC 2198).
    Red,
    /// Repair (RFC 5109).
    Ulpfec,
    /// Repair in a stream of its own (RFC 8627 and the draft of it that is called flexfec-03).
    Flexfec,
    /// Not video.
    Other,
}

/// One description.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Description {
    /// By payload type.
    pub formats: BTreeMap<u8, Format>,
    /// SSRCs that carry retransmissions.
    pub rtx: Vec<u32>,
    /// SSRCs that carry repair.
    pub repair: Vec<u32>,
    /// Payloads are encrypted (a profile with SAVP).
    pub encrypted: bool,
}

/// Lines of a description that are looked at, SSRCs of a kind that are kept.
const LINES: usize = 10_000;
const SSRCS: usize = 256;
/// Encodings within each other that are undone: an SDP in a JSON text in hexadecimal.
const DEPTH: usize = 4;
/// Longest signal that is searched, bytes.
const LONGEST: usize = 1 << 20;

impl Description {
    /// Reads what is there.
    #[must_use]
    pub fn parse(text: &str) -> Description {
        let mut found = Description::default();
        let mut video = false;
        for line in text.lines().take(LINES) {
            let line = line.trim_end();
            if let Some(media) = line.strip_prefix("m=") {
                let mut words = media.split(' ');
                video = words.next() == Some("video");
                let profile = words.nth(1).unwrap_or_default();
                found.encrypted |= video && profile.contains("SAVP");
                let types = words.filter_map(payload_type);
                types.for_each(|pt| _ = found.formats.entry(pt).or_insert(Format::Other));
            } else if let Some(map) = line.strip_prefix("a=rtpmap:") {
                let Some((pt, encoding)) = map.split_once(' ') else { continue };
                let Some(pt) = payload_type(pt) else { continue };
                let mut parts = encoding.trim().split('/');
                let name = parts.next().unwrap_or_default().to_ascii_uppercase();
                let clock = parts.next().and_then(|c| c.parse().ok()).filter(|c| *c > 0);
                let format = if video { format(name, clock) } else { Format::Other };
                found.formats.insert(pt, format);
            } else if let Some(group) = line.strip_prefix("a=ssrc-group:") {
                let mut words = group.split(' ');
                let kind = words.next().unwrap_or_default();
                // The first is the media that the others belong to.
                let others = words.skip(1).filter_map(|s| s.parse::<u32>().ok());
                let list = match kind {
                    "FID" => &mut found.rtx,
                    "FEC-FR" | "FEC" => &mut found.repair,
                    _ => continue,
                };
                let room = SSRCS - list.len();
                list.extend(others.take(room));
            }
        }
        found
    }
}

fn payload_type(text: &str) -> Option<u8> {
    text.parse().ok().filter(|pt| *pt < 128)
}

fn format(name: String, clock: Option<u32>) -> Format {
    match name.as_str() {
        "RTX" => Format::Rtx,
        "RED" => Format::Red,
        "ULPFEC" => Format::Ulpfec,
        _ if name.starts_with("FLEXFEC") => Format::Flexfec,
        _ => Format::Media(name, clock.unwrap_or(sut_core::rtp::VIDEO_CLOCK)),
    }
}

/// The descriptions in what one end told the other: as it is, or in JSON, hexadecimal or base64, or in each other.
#[must_use]
pub fn descriptions(signal: &str) -> Vec<Description> {
    let mut found = Vec::new();
    search(signal, DEPTH, &mut found);
    found
}

fn search(text: &str, depth: usize, found: &mut Vec<Description>) {
    let text = text.trim();
    if text.len() > LONGEST || depth == 0 {
        return;
    }
    // A JSON text has its line ends escaped: its strings are searched.
    if let Ok(value @ (Value::Object(_) | Value::Array(_) | Value::String(_))) = serde_json::from_str(text) {
        return strings(&value, depth - 1, found);
    }
    if let Some(start) = text.find("v=0") {
        let description = Description::parse(&text[start..]);
        if !description.formats.is_empty() {
            found.push(description);
        }
        return;
    }
    let decoded = unhex(text).or_else(|| base64::engine::general_purpose::STANDARD.decode(text).ok());
    if let Some(Ok(text)) = decoded.map(String::from_utf8) {
        search(&text, depth - 1, found);
    }
}

fn strings(value: &Value, depth: usize, found: &mut Vec<Description>) {
    match value {
        Value::String(text) => search(text, depth, found),
        Value::Array(values) => values.iter().for_each(|v| strings(v, depth, found)),
        Value::Object(map) => map.values().for_each(|v| strings(v, depth, found)),
        _ => {}
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let bytes = text.as_bytes();
    if !bytes.len().is_multiple_of(2) || !bytes.iter().all(u8::is_ascii_hexdigit) {
        return None;
    }
    (0..bytes.len() / 2).map(|i| u8::from_str_radix(text.get(2 * i..2 * i + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn media(name: &str) -> Format {
        Format::Media(name.to_owned(), 90_000)
    }

    /// Offers as programs wrote them (`harness/tests/sdp`), and what they say.
    #[test]
    fn descriptions_of_programs_that_nobody_here_wrote() {
        let read = |name: &str| {
            let path = format!("{}/tests/sdp/{name}.sdp", env!("CARGO_MANIFEST_DIR"));
            Description::parse(&std::fs::read_to_string(path).expect("a description"))
        };
        let chromium = read("chromium");
        assert!(chromium.encrypted);
        assert_eq!(chromium.formats.get(&96), Some(&media("VP8")));
        assert_eq!(chromium.formats.get(&97), Some(&Format::Rtx));
        assert_eq!(chromium.formats.get(&118), Some(&Format::Red));
        assert_eq!(chromium.formats.get(&120), Some(&Format::Ulpfec));
        assert_eq!(chromium.formats.get(&63), Some(&Format::Other), "RED of audio");
        assert_eq!(chromium.rtx, [660_146_237], "ssrc-group:FID");
        let firefox = read("firefox");
        assert_eq!(firefox.formats.get(&120), Some(&media("VP8")));
        assert_eq!(firefox.formats.get(&124), Some(&Format::Rtx));
        assert_eq!(firefox.formats.get(&122), Some(&Format::Red));
        assert_eq!(firefox.formats.get(&123), Some(&Format::Ulpfec));
        assert_eq!(firefox.formats.get(&109), Some(&Format::Other), "audio");
        let gstreamer = read("gstreamer");
        assert_eq!(gstreamer.formats.get(&96), Some(&media("VP8")));
        assert_eq!(gstreamer.formats.get(&97), Some(&Format::Red));
        assert_eq!(gstreamer.formats.get(&98), Some(&Format::Ulpfec));
        assert_eq!(gstreamer.rtx, [3_009_862_886]);
        let aiortc = read("aiortc");
        assert_eq!(aiortc.formats.get(&97), Some(&media("VP8")));
        assert_eq!(aiortc.formats.get(&98), Some(&Format::Rtx));
        assert!(aiortc.encrypted);
    }

    const PLAIN: &str = "v=0\r\nm=video 5000 RTP/AVPF 96 122\r\na=rtpmap:96 VP8/90000\r\na=rtpmap:122 ulpfec/90000\r\na=ssrc-group:FEC-FR 1 2\r\n";

    #[test]
    fn descriptions_are_found_however_they_are_packed() {
        let plain = Description::parse(PLAIN);
        assert_eq!(plain.formats, BTreeMap::from([(96, media("VP8")), (122, Format::Ulpfec)]));
        assert_eq!((plain.repair.as_slice(), plain.encrypted), (&[2][..], false));
        let json = serde_json::json!({"type": "offer", "sdp": PLAIN}).to_string();
        let hex: String = json.bytes().map(|b| format!("{b:02x}")).collect();
        let base64 = base64::engine::general_purpose::STANDARD.encode(&json);
        let quoted = serde_json::to_string(&json).expect("a text");
        for packed in [PLAIN, &json, &hex, &base64, &quoted] {
            assert_eq!(descriptions(packed), std::slice::from_ref(&plain), "{packed}");
        }
        for other in ["", "v=0", "{}", "[1]", "00", "candidate:1 1 udp 1 198.18.0.1 5000 typ host", "v=0\nm="]
        {
            assert!(descriptions(other).is_empty(), "{other}");
        }
    }

    #[test]
    fn hostile_descriptions_are_read_as_far_as_they_go() {
        let deep = (0..12).fold(PLAIN.to_owned(), |text, _| serde_json::to_string(&text).expect("a text"));
        assert!(descriptions(&deep).is_empty(), "too deep");
        let nested = "[".repeat(100_000);
        assert!(descriptions(&nested).is_empty());
        let wide = format!(
            "v=0\nm=video 1 RTP/AVP 300 -1 96\na=rtpmap:999 X/1\na=rtpmap:96\na=rtpmap:96 VP8/0\na=ssrc-group:FID{}",
            " 7".repeat(100_000)
        );
        let read = Description::parse(&wide);
        assert_eq!(read.formats, BTreeMap::from([(96, media("VP8"))]));
        assert_eq!(read.rtx.len(), SSRCS);
    }
}
