use super::*;
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fmt::Write;

fn variants() -> impl Strategy<Value = Variant> {
    (1u16..=32, 1u16..=32, 2u32..=65536, 1u8..=3)
        .prop_filter_map("a variant", |(c, r, codes, t)| Variant::new(2 * c, 2 * r, codes, t).ok())
}

fn grid(variant: Variant, seed: u64) -> Vec<u16> {
    let mut random = link::SplitMix64::new(seed);
    (0..variant.tokens()).map(|_| crate::self_drop::below(&mut random, variant.codes()) as u16).collect()
}

#[test]
fn sizes_and_rates_of_the_paper() {
    let v = Variant::STANDARD;
    // Drop rate, tokens kept, bytes per packet, bits per second.
    for (permille, kept, bytes, bps) in [
        (0, 256, 324, 311_040),
        (100, 230, 292, 280_320),
        (200, 205, 261, 250_560),
        (250, 192, 244, 234_240),
        (300, 179, 228, 218_880),
        (400, 154, 197, 189_120),
        (500, 128, 164, 157_440),
    ] {
        assert_eq!(v.kept_at(permille), kept);
        assert_eq!(v.packet_bytes(kept), bytes);
        assert_eq!(v.bitrate(kept, 30), Bitrate(bps));
    }
    for (columns, codes, frames, bps) in [
        (32, 256, 1, 249_600),
        (32, 512, 1, 280_320),
        (32, 2048, 1, 341_760),
        (32, 4096, 1, 372_480),
        (32, 1024, 2, 155_520),
        (16, 1024, 1, 80_640),
        (64, 1024, 1, 1_232_640),
    ] {
        let v = Variant::new(columns, columns, codes, frames).unwrap();
        assert_eq!(v.bitrate(v.tokens_per_packet(), 30), Bitrate(bps), "{v:?}");
    }
}

#[test]
fn layout() {
    let variant = Variant::new(4, 4, 1024, 1).unwrap();
    let tokens: Vec<u16> = (0..16).map(|t| t * 64).collect();
    let mut text = String::from("4x4 tokens of 1024 codes, token = 64 * raster index\n");
    for (frame, kept) in [(0, 4), (5, 2), (FRAME_MODULUS - 1, 3), (FRAME_MODULUS + 5, 2)] {
        for packet in packetize(variant, frame, &tokens, kept) {
            let hex: Vec<String> = packet.iter().map(|b| format!("{b:02x}")).collect();
            writeln!(text, "frame {frame} kept {kept}: {}", hex.join(" ")).unwrap();
        }
    }
    insta::with_settings!({ snapshot_path => "../../../../golden/reparo", prepend_module_to_snapshot => false }, {
        insta::assert_snapshot!("packets", text);
    });
}

#[test]
fn each_token_has_one_place_and_touching_tokens_travel_apart() {
    for variant in
        [Variant::STANDARD, Variant::new(16, 16, 1024, 1).unwrap(), Variant::new(6, 10, 7, 1).unwrap()]
    {
        let mut seen = BTreeSet::new();
        for packet in 0..PACKETS {
            for index in 0..variant.tokens_per_packet() {
                let (row, column) = variant.place(packet, index);
                assert!(row < variant.rows() && column < variant.columns());
                assert_eq!(packet_of(row, column), packet);
                assert!(seen.insert((row, column)));
            }
        }
        assert_eq!(seen.len(), variant.tokens());
        for (row, column) in seen {
            assert_ne!(packet_of(row, column), packet_of(row + 1, column));
            assert_ne!(packet_of(row, column), packet_of(row, column + 1));
        }
    }
}

#[test]
fn refused_variants() {
    assert_eq!(Variant::new(31, 32, 1024, 1), Err(VariantError::Grid(31, 32)));
    assert_eq!(Variant::new(66, 64, 1024, 1), Err(VariantError::Grid(66, 64)));
    assert_eq!(Variant::new(0, 0, 1024, 1), Err(VariantError::Grid(0, 0)));
    assert_eq!(Variant::new(32, 32, 1, 1), Err(VariantError::Codes(1)));
    assert_eq!(Variant::new(32, 32, 1024, 0), Err(VariantError::Frames));
    let text = r#"{"columns":31,"rows":32,"codes":1024,"frames":1}"#;
    assert!(serde_json::from_str::<Variant>(text).is_err());
}

#[test]
fn sixteen_bit_grid_of_the_largest_size_survives() {
    let variant = Variant::new(64, 64, 65536, 1).unwrap();
    let tokens = grid(variant, 3);
    for bytes in packetize(variant, 9, &tokens, 1024) {
        let packet = Packet::parse(variant, &bytes).unwrap();
        assert_eq!(packet.tokens.len(), 1024);
    }
}

proptest! {
    #[test]
    fn what_is_sent_is_what_arrives(variant in variants(), frame: u32, seed: u64, share in 0.4f64..1.1) {
        let tokens = grid(variant, seed);
        let kept = ((f64::from(variant.tokens_per_packet()) * share) as u16).clamp(1, variant.tokens_per_packet());
        let mut found = vec![None; variant.tokens()];
        for (index, bytes) in packetize(variant, frame, &tokens, kept).iter().enumerate() {
            prop_assert_eq!(bytes.len(), variant.packet_bytes(kept));
            let packet = Packet::parse(variant, bytes).unwrap();
            prop_assert_eq!(packet.frame, frame % FRAME_MODULUS);
            prop_assert_eq!(usize::from(packet.packet), index);
            packet.place_into(variant, &mut found);
        }
        prop_assert_eq!(found.iter().flatten().count(), usize::from(kept) * 4);
        for (found, sent) in found.iter().zip(&tokens) {
            prop_assert!(found.is_none_or(|t| t == *sent));
        }
        let travels: Vec<bool> = found.iter().map(Option::is_some).collect();
        prop_assert_eq!(variant.sent(frame, kept), travels);
    }

    #[test]
    fn garbage_is_refused_or_understood_but_never_panics(variant in variants(), bytes: Vec<u8>, near: u32) {
        if let Ok(packet) = Packet::parse(variant, &bytes) {
            prop_assert_eq!(packet.positions.len(), packet.tokens.len());
            let mut grid = vec![None; variant.tokens()];
            packet.place_into(variant, &mut grid);
            let _ = unwrap_frame(packet.frame, near);
        }
    }

    #[test]
    fn a_flipped_bit_changes_the_packet_or_is_refused(frame: u32, seed: u64, bit in 0usize..324 * 8) {
        let variant = Variant::STANDARD;
        let bytes = packetize(variant, frame, &grid(variant, seed), 256)[2].clone();
        let mut damaged = bytes.clone();
        damaged[bit / 8] ^= 1 << (bit % 8);
        let right = Packet::parse(variant, &bytes).unwrap();
        prop_assert!(Packet::parse(variant, &damaged).map_or(true, |p| p != right));
    }

    #[test]
    fn a_target_is_met_to_the_grain(variant in variants(), target in 0u64..4_000_000, fps in 1u32..=60) {
        let fit = variant.fit(Bitrate(target), fps);
        let full = variant.tokens_per_packet();
        prop_assert!(fit.kept * 2 >= full && fit.kept <= full);
        prop_assert_eq!(fit.bitrate, variant.bitrate(fit.kept, fps));
        prop_assert_eq!(fit.reached, fit.bitrate.0 <= target);
        if fit.reached && fit.kept < full {
            prop_assert!(variant.bitrate(fit.kept + 1, fps).0 > target);
        }
    }

    #[test]
    fn frame_numbers_unwrap(near in 0u32..u32::MAX - FRAME_MODULUS, step in -500_000i64..500_000) {
        let Ok(frame) = u32::try_from(i64::from(near) + step) else { return Ok(()) };
        prop_assert_eq!(unwrap_frame(frame % FRAME_MODULUS, near), frame);
    }

    #[test]
    fn a_variant_survives_the_session_description(variant in variants()) {
        let text = serde_json::to_string(&variant).unwrap();
        prop_assert_eq!(serde_json::from_str::<Variant>(&text).unwrap(), variant);
    }
}
