//! PyTorch's `.pth` files, read without Python: the state dictionaries of published weights, alone or under `state_dict`, `net`
//! or `model`, where other things of a training may lie beside them.
//!
//! Two containers are in use. Since 1.6 a zip archive with stored (uncompressed) members: `*/data.pkl` is a pickle
//! that describes the tensors, `*/data/<key>` are their bytes. Before that one file: pickles of a magic number, a
//! protocol version and the machine, the description, the list of keys, then for each key a count and the bytes. The
//! pickle machine below knows the opcodes that such dictionaries use and calls no code: what
//! another class would have made is left empty, and an error where a tensor is wanted.

use anyhow::{Context as _, Result, bail, ensure};
use std::collections::HashMap;

/// A dense array of 32-bit floats.
#[derive(Debug, PartialEq)]
pub struct Array {
    /// Sizes.
    pub shape: Vec<i64>,
    /// Values, the last index fastest.
    pub values: Vec<f32>,
}

/// Reads the tensors by name, in the file's order.
///
/// # Errors
/// Anything but a dictionary of contiguous 32-bit float tensors.
pub fn read(bytes: &[u8]) -> Result<Vec<(String, Array)>> {
    if bytes.starts_with(b"PK\x03\x04") { zipped(bytes) } else { legacy(bytes) }
}

fn zipped(bytes: &[u8]) -> Result<Vec<(String, Array)>> {
    let members = zip_members(bytes)?;
    let (name, description) =
        members.iter().find(|(n, _)| n.ends_with("/data.pkl")).context("the archive has no data.pkl")?;
    let root = &name[..name.len() - "data.pkl".len()];
    if let Some(order) = members.get(&format!("{root}byteorder")) {
        ensure!(*order == b"little", "big-endian tensors");
    }
    let (value, _) = Machine::run(description)?;
    tensors(value, |key| members.get(&format!("{root}data/{key}")).copied())
}

fn legacy(bytes: &[u8]) -> Result<Vec<(String, Array)>> {
    // Magic number, protocol version, sizes of the writer's machine.
    let mut rest = bytes;
    for _ in 0..3 {
        rest = &rest[Machine::run(rest)?.1..];
    }
    let (value, used) = Machine::run(rest)?;
    rest = &rest[used..];
    let (keys, used) = Machine::run(rest)?;
    rest = &rest[used..];
    let Object::List(keys) = keys else { bail!("no list of storages") };
    let mut storages = HashMap::new();
    for key in keys {
        let Object::Text(key) = key else { bail!("a storage without a name") };
        let count = rest.get(..8).context("truncated")?;
        let count = u64::from_le_bytes(count.try_into().expect("eight bytes"));
        let length =
            usize::try_from(count).ok().and_then(|n| n.checked_mul(4)).context("a storage too large")?;
        let data = rest.get(8..).and_then(|r| r.get(..length)).context("truncated")?;
        storages.insert(key, data);
        rest = &rest[8 + length..];
    }
    tensors(value, |key| storages.get(key).copied())
}

fn tensors<'a>(value: Object, storage: impl Fn(&str) -> Option<&'a [u8]>) -> Result<Vec<(String, Array)>> {
    let Object::Dict(mut entries) = value else { bail!("not a dictionary") };
    // Checkpoints of trainings keep the weights beside other things.
    for nested in ["state_dict", "net", "model"] {
        let is_it = |(key, value): &(Object, Object)| matches!((key, value), (Object::Text(key), Object::Dict(_)) if key == nested);
        if let Some(place) = entries.iter().position(is_it)
            && let (_, Object::Dict(inner)) = entries.swap_remove(place)
        {
            entries = inner;
        }
    }
    let mut found = Vec::new();
    for (name, value) in entries {
        let Object::Text(name) = name else { bail!("a key that is no text") };
        let Object::Tensor { storage: Storage { key, class }, offset, shape, stride } = value else {
            bail!("{name} is no tensor")
        };
        ensure!(class == "torch.FloatStorage", "{name}: {class} instead of 32-bit floats");
        let mut dense = 1i64;
        for (&size, &step) in shape.iter().zip(&stride).rev() {
            ensure!(size >= 0 && (step == dense || size == 1), "{name} is not contiguous");
            dense = i64::checked_mul(dense, size).with_context(|| format!("{name} is too large"))?;
        }
        let data = storage(&key).with_context(|| format!("{name}: its data is missing"))?;
        let (from, n) = (usize::try_from(offset)?, usize::try_from(dense)?);
        let range = from.checked_mul(4).zip(from.checked_add(n).and_then(|e| e.checked_mul(4)));
        let bytes = range.and_then(|(a, b)| data.get(a..b)).with_context(|| format!("{name}: truncated"))?;
        let values = bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().expect("four"))).collect();
        found.push((name, Array { shape, values }));
    }
    Ok(found)
}

/// Members of an archive without compression, by name.
fn zip_members(bytes: &[u8]) -> Result<HashMap<String, &[u8]>> {
    let u16_at = |i: usize| bytes.get(i..i + 2).map(|b| usize::from(u16::from_le_bytes([b[0], b[1]])));
    let u32_at =
        |i: usize| bytes.get(i..i + 4).map(|b| u32::from_le_bytes(b.try_into().expect("four")) as usize);
    let end = bytes.windows(4).rposition(|w| w == b"PK\x05\x06").context("a zip archive without its end")?;
    let read = || -> Option<Result<HashMap<String, &[u8]>>> {
        let mut members = HashMap::new();
        let mut at = u32_at(end + 16)?;
        for _ in 0..u16_at(end + 10)? {
            let (method, size, local) = (u16_at(at + 10)?, u32_at(at + 24)?, u32_at(at + 42)?);
            let (name, extra, comment) = (u16_at(at + 28)?, u16_at(at + 30)?, u16_at(at + 32)?);
            let text = String::from_utf8_lossy(bytes.get(at + 46..at + 46 + name)?).into_owned();
            if method != 0 {
                return Some(Err(anyhow::anyhow!("{text} is compressed")));
            }
            let start = local + 30 + u16_at(local + 26)? + u16_at(local + 28)?;
            members.insert(text, bytes.get(start..)?.get(..size)?);
            at += 46 + name + extra + comment;
        }
        Some(Ok(members))
    };
    read().context("a damaged zip archive")?
}

#[derive(Clone, Debug)]
enum Object {
    Mark,
    Nothing,
    Int(i64),
    Text(String),
    Class(String),
    Tuple(Vec<Object>),
    List(Vec<Object>),
    Dict(Vec<(Object, Object)>),
    Storage(Storage),
    Tensor { storage: Storage, offset: i64, shape: Vec<i64>, stride: Vec<i64> },
}

/// Where a tensor's values lie, and what they are.
#[derive(Clone, Debug)]
struct Storage {
    key: String,
    class: String,
}

/// The pickle machine (protocol 2 and what older writers left in it).
struct Machine<'a> {
    code: &'a [u8],
    at: usize,
    stack: Vec<Object>,
    memo: HashMap<usize, Object>,
}

impl<'a> Machine<'a> {
    /// Runs one pickle; gives its value and its length.
    fn run(code: &'a [u8]) -> Result<(Object, usize)> {
        let mut machine = Self { code, at: 0, stack: Vec::new(), memo: HashMap::new() };
        while machine.step()? {}
        let value = machine.pop()?;
        Ok((value, machine.at))
    }

    fn take(&mut self, n: usize) -> Result<&'a [u8]> {
        let bytes = self.code.get(self.at..).and_then(|c| c.get(..n)).context("truncated pickle")?;
        self.at += n;
        Ok(bytes)
    }

    fn number(&mut self, n: usize) -> Result<usize> {
        Ok(self.take(n)?.iter().rev().fold(0, |v, &b| (v << 8) | usize::from(b)))
    }

    fn line(&mut self) -> Result<String> {
        let n = self
            .code
            .get(self.at..)
            .context("truncated pickle")?
            .iter()
            .position(|&b| b == b'\n')
            .context("truncated pickle")?;
        let text = String::from_utf8_lossy(self.take(n)?).into_owned();
        self.at += 1;
        Ok(text)
    }

    fn text(&mut self, length: usize) -> Result<()> {
        let text = String::from_utf8_lossy(self.take(length)?).into_owned();
        self.stack.push(Object::Text(text));
        Ok(())
    }

    fn pop(&mut self) -> Result<Object> {
        self.stack.pop().context("malformed pickle")
    }

    fn tuple(&mut self, n: usize) -> Result<()> {
        ensure!(self.stack.len() >= n, "malformed pickle");
        let items = self.stack.split_off(self.stack.len() - n);
        self.stack.push(Object::Tuple(items));
        Ok(())
    }

    /// What lies above the last mark, which goes.
    fn above_mark(&mut self) -> Result<Vec<Object>> {
        let mark = self.stack.iter().rposition(|o| matches!(o, Object::Mark)).context("malformed pickle")?;
        let items = self.stack.split_off(mark + 1);
        self.stack.pop();
        Ok(items)
    }

    fn step(&mut self) -> Result<bool> {
        let op = self.take(1)?[0];
        match op {
            0x80 => drop(self.take(1)?),
            b'.' => return Ok(false),
            b'(' => self.stack.push(Object::Mark),
            b'N' | 0x88 | 0x89 => self.stack.push(Object::Nothing),
            b')' => self.stack.push(Object::Tuple(Vec::new())),
            b']' => self.stack.push(Object::List(Vec::new())),
            b'}' => self.stack.push(Object::Dict(Vec::new())),
            b'K' => self.int(1)?,
            b'M' => self.int(2)?,
            b'J' => {
                let v = i32::from_le_bytes(self.take(4)?.try_into().expect("four"));
                self.stack.push(Object::Int(v.into()));
            }
            0x8a => {
                // Only the magic number is longer than eight bytes; its value is not needed.
                let n = self.number(1)?;
                let v = self.take(n)?.iter().take(8).rev().fold(0i64, |v, &b| (v << 8) | i64::from(b));
                self.stack.push(Object::Int(v));
            }
            b'G' => {
                self.take(8)?; // a number beside the weights
                self.stack.push(Object::Nothing);
            }
            b'X' => {
                let n = self.number(4)?;
                self.text(n)?;
            }
            b'U' | 0x8c => {
                let n = self.number(1)?;
                self.text(n)?;
            }
            b'c' => {
                let class = format!("{}.{}", self.line()?, self.line()?);
                self.stack.push(Object::Class(class));
            }
            b'q' | b'r' => {
                let slot = self.number(if op == b'q' { 1 } else { 4 })?;
                let top = self.stack.last().context("malformed pickle")?.clone();
                self.memo.insert(slot, top);
            }
            b'h' | b'j' => {
                let slot = self.number(if op == b'h' { 1 } else { 4 })?;
                self.stack.push(self.memo.get(&slot).context("malformed pickle")?.clone());
            }
            0x85..=0x87 => self.tuple(usize::from(op - 0x84))?,
            b't' => {
                let items = self.above_mark()?;
                self.stack.push(Object::Tuple(items));
            }
            b'a' | b'e' => {
                let items = if op == b'a' { vec![self.pop()?] } else { self.above_mark()? };
                let Some(Object::List(list)) = self.stack.last_mut() else { bail!("malformed pickle") };
                list.extend(items);
            }
            b's' | b'u' => {
                let items = if op == b's' {
                    let value = self.pop()?;
                    vec![self.pop()?, value]
                } else {
                    self.above_mark()?
                };
                let Some(Object::Dict(dict)) = self.stack.last_mut() else { bail!("malformed pickle") };
                let mut items = items.into_iter();
                while let (Some(key), Some(value)) = (items.next(), items.next()) {
                    dict.push((key, value));
                }
            }
            b'Q' => {
                let id = self.pop()?;
                self.stack.push(storage(id)?);
            }
            b'R' => {
                let (arguments, function) = (self.pop()?, self.pop()?);
                self.stack.push(call(function, arguments)?);
            }
            0x81 => {
                // An object made of a class and arguments: no weights.
                let (_arguments, _class) = (self.pop()?, self.pop()?);
                self.stack.push(Object::Nothing);
            }
            // Attributes (the dictionary's `_metadata`): of no use here.
            b'b' => drop(self.pop()?),
            other => bail!("pickle opcode {other:#04x} is not read here"),
        }
        Ok(true)
    }

    fn int(&mut self, bytes: usize) -> Result<()> {
        let v = self.number(bytes)?;
        self.stack.push(Object::Int(v as i64));
        Ok(())
    }
}

/// `('storage', type, key, device, count, ...)`.
fn storage(id: Object) -> Result<Object> {
    let Object::Tuple(id) = id else { bail!("malformed storage") };
    match id.as_slice() {
        [Object::Text(kind), Object::Class(class), Object::Text(key), ..] if kind == "storage" => {
            Ok(Object::Storage(Storage { key: key.clone(), class: class.clone() }))
        }
        _ => bail!("malformed storage"),
    }
}

fn call(function: Object, arguments: Object) -> Result<Object> {
    let (Object::Class(class), Object::Tuple(arguments)) = (function, arguments) else {
        bail!("malformed call")
    };
    match (class.as_str(), arguments.as_slice()) {
        ("collections.OrderedDict", []) => Ok(Object::Dict(Vec::new())),
        // Python 2 wrote its pairs as an argument.
        ("collections.OrderedDict", [Object::List(pairs)]) => {
            let pair = |o: &Object| match o {
                Object::List(kv) | Object::Tuple(kv) if kv.len() == 2 => Ok((kv[0].clone(), kv[1].clone())),
                _ => bail!("malformed dictionary"),
            };
            Ok(Object::Dict(pairs.iter().map(pair).collect::<Result<_>>()?))
        }
        (
            "torch._utils._rebuild_tensor" | "torch._utils._rebuild_tensor_v2",
            [Object::Storage(storage), Object::Int(offset), Object::Tuple(shape), Object::Tuple(stride), ..],
        ) => {
            let ints = |t: &[Object]| -> Result<Vec<i64>> {
                t.iter()
                    .map(|o| if let Object::Int(v) = o { Ok(*v) } else { bail!("malformed tensor") })
                    .collect()
            };
            Ok(Object::Tensor {
                storage: storage.clone(),
                offset: *offset,
                shape: ints(shape)?,
                stride: ints(stride)?,
            })
        }
        ("torch._utils._rebuild_parameter", [tensor @ Object::Tensor { .. }, ..]) => Ok(tensor.clone()),
        // Options, schedules and the like beside the weights.
        _ => Ok(Object::Nothing),
    }
}

#[cfg(test)]
mod tests {
    use super::{Array, read};

    /// Written by `torch.save` 2.11, in both containers: `arange(12).view(2, 3, 2) / 4`, `[1.5, -2]`, and
    /// elements 4 to 7 of `arange(12)` as a view.
    #[test]
    fn both_containers_give_the_same_tensors() {
        let expected = [
            ("features.0.weight", vec![2, 3, 2], (0..12).map(|v| v as f32 / 4.0).collect()),
            ("features.0.bias", vec![2], vec![1.5, -2.0]),
            ("lin0.model.1.weight", vec![1, 4, 1, 1], vec![4.0, 5.0, 6.0, 7.0]),
        ]
        .map(|(name, shape, values)| (name.to_owned(), Array { shape, values }));
        for file in [&include_bytes!("../tests/pth/zip.pth")[..], include_bytes!("../tests/pth/legacy.pth")] {
            assert_eq!(read(file).unwrap(), expected);
        }
    }

    #[test]
    fn damage_is_an_error_and_never_a_panic() {
        let file = include_bytes!("../tests/pth/legacy.pth");
        for length in 0..file.len() {
            assert!(read(&file[..length]).is_err(), "{length} bytes");
        }
        // Any byte changed: whatever it gives, it gives it without a panic.
        for container in [&include_bytes!("../tests/pth/zip.pth")[..], file] {
            for i in 0..container.len() {
                let mut bytes = container.to_vec();
                bytes[i] ^= 0x55;
                let _ = read(&bytes);
            }
        }
    }
}
