//! The entropy coder against the original's streams (`FREEZEFRAME_VECTORS`, folder `dcvcrt`), and its laws.

use proptest::prelude::*;
use serde_json::Value;
use sut_core::rans::container::{ContainerError, Frame, ParameterSet, Reader, Writer};
use sut_core::rans::{FrameDecoder, FrameEncoder, Tables, cdf};

fn vectors(file: &str) -> Option<Value> {
    let path = testing::folder("vectors")?.join("dcvcrt").join(file);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    Some(serde_json::from_str(&text).expect("vectors are JSON"))
}

fn integers<T: TryFrom<i64>>(value: &Value) -> Vec<T> {
    let list = value.as_array().expect("a list");
    list.iter().map(|v| T::try_from(v.as_i64().expect("an integer")).ok().expect("in range")).collect()
}

fn bytes(hex: &Value) -> Vec<u8> {
    let hex = hex.as_str().expect("hex");
    (0..hex.len() / 2).map(|i| u8::from_str_radix(&hex[2 * i..2 * i + 2], 16).expect("hex")).collect()
}

#[test]
fn distributions_are_the_originals() {
    let Some(all) = vectors("cdf_tables.json") else { return };
    let tables = Tables::gaussian();
    let given = &all["gaussian"];
    for row in 0..tables.len() {
        assert_eq!(
            tables.row(row).cdf,
            &integers::<u32>(&given["cdf"][row])[..tables.row(row).cdf.len()],
            "row {row}"
        );
        assert_eq!(i64::from(tables.row(row).offset), given["offset"][row], "row {row}");
        assert_eq!(tables.row(row).cdf.len() as i64, given["cdf_length"][row], "row {row}");
        let scale = given["scale_table"][row].as_f64().unwrap() as f32;
        assert_eq!(cdf::scale(row), scale, "scale {row}");
    }
}

#[test]
fn quantised_distributions_are_the_originals() {
    let Some(all) = vectors("rans_unit.json") else { return };
    for case in all["pmf_to_cdf"].as_array().unwrap() {
        let pmf: Vec<f32> =
            case["pmf"].as_array().unwrap().iter().map(|p| p.as_f64().unwrap() as f32).collect();
        assert_eq!(cdf::quantised(&pmf), integers::<u32>(&case["cdf"]), "{pmf:?}");
    }
}

/// Streams of latents alone; those of hyperpriors need a network's tables and are tested beside it.
#[test]
fn streams_are_the_originals_to_the_byte() {
    let Some(all) = vectors("rans_unit.json") else { return };
    let tables = Tables::gaussian();
    let mut seen = 0;
    for case in all["streams"].as_array().unwrap() {
        let ops = case["ops"].as_array().unwrap();
        if ops.iter().any(|op| op["op"] != "y") {
            continue;
        }
        seen += 1;
        let two = case["ec_part"] == 1;
        let planes: Vec<(Vec<usize>, Vec<i8>)> =
            ops.iter().map(|op| (integers(&op["idx"]), integers(&op["sym"]))).collect();
        let mut encoder = FrameEncoder::new(two);
        for (rows, values) in &planes {
            encoder.plane(&tables, rows.iter().copied().zip(values.iter().copied()));
        }
        let stream = encoder.finish();
        assert_eq!(stream, bytes(&case["hex"]), "{}", case["name"]);
        let mut decoder = FrameDecoder::new(&stream, two);
        for (rows, values) in &planes {
            assert_eq!(decoder.plane(&tables, rows.iter().copied()), *values, "{}", case["name"]);
        }
    }
    assert!(seen > 0, "no stream of latents among the vectors");
}

#[test]
fn files_are_those_of_the_originals_tool() {
    let Some(all) = vectors("container.json") else { return };
    let mut writer = Writer::default();
    let mut wanted = Vec::new();
    let mut frames = Vec::new();
    for case in all.as_array().unwrap() {
        let number = |key: &str| case[key].as_u64().unwrap() as u32;
        let n = number("payload_len");
        let payload: Vec<u8> = (0..n).map(|j| ((7 * j + n) % 256) as u8).collect();
        let set = ParameterSet {
            height: number("height"),
            width: number("width"),
            two: number("ec_part") == 1,
            from_picture: number("use_ada_i") == 1,
        };
        let frame =
            Frame { set, key: case["is_i"].as_bool().unwrap(), qp: number("qp") as u8, stream: &payload };
        writer.frame(&frame).unwrap();
        wanted.extend(bytes(&case["sps_hex"]));
        wanted.extend(bytes(&case["frame_header_hex"]));
        wanted.extend_from_slice(&payload);
        frames.push((set, frame.key, frame.qp, payload));
    }
    assert_eq!(writer.bytes(), wanted);
    let mut reader = Reader::new(&wanted);
    for (set, key, qp, stream) in &frames {
        let read = reader.frame().unwrap().unwrap();
        assert_eq!((read.set, read.key, read.qp, read.stream), (*set, *key, *qp, stream.as_slice()));
    }
    assert_eq!(reader.frame(), Ok(None));
}

#[test]
fn what_a_file_lacks_is_named() {
    let set = ParameterSet { height: 512, width: 512, two: false, from_picture: false };
    let mut writer = Writer::default();
    writer.frame(&Frame { set, key: true, qp: 31, stream: &[1, 2, 3] }).unwrap();
    let whole = writer.bytes().to_vec();
    for cut in 1..whole.len() {
        let read = Reader::new(&whole[..cut]).frame();
        // A parameter set alone is a file without frames.
        let wanted = if cut == 6 { Ok(None) } else { Err(()) };
        assert_eq!(read.map_err(|_| ()), wanted, "cut at {cut}");
    }
    assert_eq!(Reader::new(&whole[6..]).frame(), Err(ContainerError::Set(0)));
    assert_eq!(Reader::new(&[0x30]).frame(), Err(ContainerError::Type(3)));
    for height in 1..16 {
        let set = ParameterSet { height, ..set };
        writer.frame(&Frame { set, key: false, qp: 0, stream: &[] }).unwrap();
    }
    let full = writer.bytes().to_vec();
    let other = Frame { set: ParameterSet { height: 99, ..set }, key: false, qp: 0, stream: &[] };
    assert_eq!(writer.frame(&other), Err(ContainerError::Sets));
    assert_eq!(writer.bytes(), full, "a refused frame leaves nothing behind");
}

/// Any distribution: some symbols, an escape, probabilities of all sizes, zeros too.
fn distributions() -> impl Strategy<Value = Tables> {
    let p = prop_oneof![Just(0.0f32), 0.0f32..1.0, (0.0f32..1e-4)];
    let row = (-20i32..5, prop::collection::vec(p, 2..20));
    prop::collection::vec(row, 1..8).prop_map(|rows| {
        let mut tables = Tables::default();
        for (offset, p) in rows {
            tables.push(offset, &p);
        }
        tables
    })
}

proptest! {
    #[test]
    fn every_symbol_has_room(p in prop::collection::vec(prop_oneof![Just(f32::NAN), Just(f32::INFINITY), -1.0f32..2.0], 1..400)) {
        let cdf = cdf::quantised(&p);
        prop_assert_eq!((cdf[0], cdf[p.len()]), (0, cdf::TOTAL));
        prop_assert!(cdf.windows(2).all(|w| w[0] < w[1]), "{:?}", cdf);
    }

    #[test]
    fn what_goes_in_comes_out(
        (tables, planes) in distributions().prop_flat_map(|tables| {
            let plane = prop::collection::vec((0..tables.len(), any::<i8>()), 0..300);
            (Just(tables), prop::collection::vec(plane, 0..4))
        }),
        two in any::<bool>(),
    ) {
        let mut encoder = FrameEncoder::new(two);
        planes.iter().for_each(|plane| encoder.plane(&tables, plane.iter().copied()));
        let stream = encoder.finish();
        let mut decoder = FrameDecoder::new(&stream, two);
        for plane in &planes {
            let read = decoder.plane(&tables, plane.iter().map(|(row, _)| *row));
            let wrote: Vec<i8> = plane.iter().map(|(_, value)| *value).collect();
            prop_assert_eq!(read, wrote);
        }
        if !two {
            // A decoder ends exactly where the stream does.
            prop_assert_eq!(decoder.bytes_read(), stream.len().max(4));
        }
    }

    #[test]
    fn any_bytes_decode_in_bounded_work(
        (tables, rows) in distributions().prop_flat_map(|t| { let n = t.len(); (Just(t), prop::collection::vec(0..n, 0..500)) }),
        stream in prop::collection::vec(prop_oneof![Just(0u8), Just(255u8), any::<u8>()], 0..200),
        two in any::<bool>(),
    ) {
        let mut decoder = FrameDecoder::new(&stream, two);
        prop_assert_eq!(decoder.plane(&tables, rows.iter().copied()).len(), rows.len());
        // Two bytes renew a state for a symbol; beyond the buffer an escape's groups read at most four more.
        let coders = 1 + usize::from(two);
        prop_assert!(decoder.bytes_read() <= coders * (stream.len() + 16) + 8 * rows.len());
    }

    #[test]
    fn any_file_is_read_or_refused(file in prop::collection::vec(prop_oneof![0u8..0x30, any::<u8>()], 0..300)) {
        let mut reader = Reader::new(&file);
        for _ in 0..=file.len() {
            if !matches!(reader.frame(), Ok(Some(_))) {
                return Ok(());
            }
        }
        prop_assert!(false, "more frames than bytes");
    }
}
