//! The fate ledger of a live run: one [`FateRecord`] per packet and direction as JSON lines, written off the hot path.
//!
//! The loop that must be punctual only moves records into a buffer; a thread of its own turns them into text. Records come
//! in the order in which they were finished: a dropped packet at once, a delivered one when it has left.

use crate::error::LabError;
use link::FateRecord;
use std::fs::File;
use std::io::{BufWriter, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

/// Bytes of each IP packet that a record keeps: the headers and enough of the payload to tell what it carries.
pub const HEAD: usize = 96;

/// Records handed over at once.
const BATCH: usize = 128;

/// A record and the first bytes of its packet, not yet text.
pub(crate) struct Entry {
    pub(crate) record: FateRecord,
    pub(crate) head: [u8; HEAD],
    pub(crate) head_length: u8,
}

impl Entry {
    pub(crate) fn new(record: FateRecord, packet: &[u8]) -> Entry {
        let mut head = [0; HEAD];
        let length = packet.len().min(HEAD);
        head[..length].copy_from_slice(&packet[..length]);
        Entry { record, head, head_length: length as u8 }
    }
}

enum Message {
    Entries(Vec<Entry>),
    /// Time zero is now: what was written does not count.
    Restart,
}

/// The file and the thread that writes it.
pub(crate) struct Ledger {
    path: PathBuf,
    sender: Sender<Message>,
    writer: JoinHandle<std::io::Result<()>>,
}

impl Ledger {
    pub(crate) fn create(path: &Path) -> Result<Ledger, LabError> {
        let file = File::create(path).map_err(|e| LabError::io("create the fate ledger", e))?;
        let (sender, receiver) = channel();
        let writer = std::thread::Builder::new()
            .name("fate ledger".to_owned())
            .spawn(move || write(&receiver, file))
            .map_err(|e| LabError::io("start the ledger's thread", e))?;
        Ok(Ledger { path: path.to_owned(), sender, writer })
    }

    pub(crate) fn sender(&self) -> LedgerSender {
        LedgerSender { buffer: Vec::with_capacity(BATCH), sender: self.sender.clone() }
    }

    /// Waits until everything sent is in the file. Every sender must be gone.
    pub(crate) fn close(self) -> Result<(), LabError> {
        drop(self.sender);
        match self.writer.join() {
            Ok(result) => result.map_err(|e| LabError::io("write the fate ledger", e)),
            Err(_) => Err(LabError::Emulator(format!("the writer of {} panicked", self.path.display()))),
        }
    }
}

/// The hot path's end of the ledger.
pub(crate) struct LedgerSender {
    buffer: Vec<Entry>,
    sender: Sender<Message>,
}

impl LedgerSender {
    pub(crate) fn write(&mut self, entry: Entry) {
        self.buffer.push(entry);
    }

    /// Hands over if a batch is together.
    pub(crate) fn flush_if_full(&mut self) {
        if self.buffer.len() >= BATCH {
            self.flush();
        }
    }

    pub(crate) fn flush(&mut self) {
        let full = std::mem::replace(&mut self.buffer, Vec::with_capacity(BATCH));
        // The writer ends early only when the file cannot be written, which `close` reports.
        let _ = self.sender.send(Message::Entries(full));
    }

    pub(crate) fn restart(&mut self) {
        self.buffer.clear();
        let _ = self.sender.send(Message::Restart);
    }
}

fn write(receiver: &Receiver<Message>, file: File) -> std::io::Result<()> {
    let mut out = BufWriter::new(file);
    for message in receiver {
        match message {
            Message::Entries(entries) => {
                for mut entry in entries {
                    entry.record.head = Some(hex(&entry.head[..usize::from(entry.head_length)]));
                    serde_json::to_writer(&mut out, &entry.record)?;
                    out.write_all(b"\n")?;
                }
            }
            Message::Restart => {
                out.flush()?;
                out.get_mut().set_len(0)?;
                out.get_mut().rewind()?;
            }
        }
    }
    out.flush()
}

fn hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        text.push(char::from(DIGITS[usize::from(byte >> 4)]));
        text.push(char::from(DIGITS[usize::from(byte & 15)]));
    }
    text
}
