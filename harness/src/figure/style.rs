//! One look per system, the same in every figure: colour, marker and dash, each of which alone tells most systems apart.
//!
//! Colours are those of Okabe and Ito (2008), made to be told apart by people with protanopia and deuteranopia, without yellow (too light
//! for a line on paper), and others that keep as far from them and from each other: a test measures it.

use std::collections::BTreeMap;

/// A colour.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Colour(pub u8, pub u8, pub u8);

impl Colour {
    /// `#RRGGBB`.
    #[must_use]
    pub fn hex(self) -> String {
        format!("#{:02X}{:02X}{:02X}", self.0, self.1, self.2)
    }
}

/// The mark of a point.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Marker {
    Circle,
    Square,
    Up,
    Diamond,
    Down,
    Cross,
    Plus,
    Ring,
}

/// The dash of a line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[allow(missing_docs)]
pub enum Dash {
    Solid,
    Dashed,
    Dotted,
    DashDot,
    Long,
}

impl Dash {
    /// Lengths of strokes and gaps, tenths of a point; empty: one stroke.
    #[must_use]
    pub fn pattern(self) -> &'static [i32] {
        match self {
            Self::Solid => &[],
            Self::Dashed => &[45, 25],
            Self::Dotted => &[12, 18],
            Self::DashDot => &[50, 20, 12, 20],
            Self::Long => &[90, 30],
        }
    }
}

/// How a system looks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Look {
    /// Of lines, marks and bars.
    pub colour: Colour,
    /// Of its points.
    pub marker: Marker,
    /// Of its lines.
    pub dash: Dash,
    /// True for a look that fills at full strength (states, parts), false for one of a system.
    pub solid: bool,
}

/// Colours of systems, and in the dark.
pub const PALETTE: [(Colour, Colour); 11] = [
    (Colour(0x00, 0x72, 0xB2), Colour(0x4F, 0xA8, 0xE0)), // blue
    (Colour(0xD5, 0x5E, 0x00), Colour(0xF0, 0x80, 0x30)), // vermilion
    (Colour(0x00, 0x9E, 0x73), Colour(0x2F, 0xBF, 0x92)), // green
    (Colour(0xD0, 0x86, 0xB4), Colour(0xDD, 0x8F, 0xBB)), // purple
    (Colour(0xE6, 0x9F, 0x00), Colour(0xF0, 0xB4, 0x2A)), // orange
    (Colour(0x56, 0xB4, 0xE9), Colour(0x8C, 0xD0, 0xF5)), // sky
    (Colour(0x88, 0x22, 0x55), Colour(0xC8, 0x5A, 0x90)), // wine
    (Colour(0x33, 0x22, 0x88), Colour(0x8E, 0x80, 0xE0)), // indigo
    (Colour(0xB0, 0xAC, 0x50), Colour(0xC6, 0xC2, 0x6E)), // olive
    (Colour(0x10, 0x10, 0x10), Colour(0xE4, 0xE8, 0xEC)), // black
    (Colour(0x6B, 0x44, 0x10), Colour(0xC0, 0x92, 0x72)), // brown
];

const MARKERS: [Marker; 8] = [
    Marker::Circle,
    Marker::Square,
    Marker::Up,
    Marker::Diamond,
    Marker::Down,
    Marker::Cross,
    Marker::Plus,
    Marker::Ring,
];

const DASHES: [Dash; 5] = [Dash::Solid, Dash::Dashed, Dash::DashDot, Dash::Dotted, Dash::Long];

/// The shipped systems, each with the place of its colour, marker and dash. Never changed: figures of two papers agree.
pub const SHIPPED: [(&str, usize, usize, usize); 9] = [
    ("revo-h264", 0, 0, 0),
    ("reparo", 1, 1, 0),
    ("vp9-tambur", 2, 2, 1),
    ("vp8-ulpfec", 3, 3, 2),
    ("vp8-flexfec", 4, 4, 3),
    ("revo-h265", 5, 7, 4),
    ("vp9-ringmaster", 6, 5, 1),
    ("revo-dcvcrt", 7, 6, 2),
    ("revo-dcvcrt-lite", 8, 5, 0),
];

/// The colour of text and marks that belong to no system.
pub const INK: Colour = Colour(0x1A, 0x1D, 0x21);
/// Of axes and rules.
pub const AXIS: Colour = Colour(0x6B, 0x74, 0x80);
/// Of grids.
pub const GRID: Colour = Colour(0xE3, 0xE6, 0xEA);

/// States of slots and parts of traffic, and in the dark.
pub const PARTS: [(&str, Colour, Colour); 13] = [
    ("rendered", Colour(0x8C, 0xCF, 0xB4), Colour(0x2F, 0x8F, 0x6C)),
    ("concealed", Colour(0xF2, 0xB8, 0x43), Colour(0xD7, 0x9D, 0x2F)),
    ("frozen", Colour(0xC8, 0x28, 0x4C), Colour(0xE8, 0x58, 0x74)),
    ("dropped by the sender", Colour(0x9A, 0xA4, 0xAE), Colour(0x5F, 0x69, 0x73)),
    ("packets lost", Colour(0x3A, 0x3F, 0x46), Colour(0xB9, 0xC2, 0xCC)),
    ("freeze", Colour(0xF6, 0xD9, 0xDF), Colour(0x4A, 0x25, 0x30)),
    ("source", Colour(0x4A, 0x7B, 0xE0), Colour(0x5B, 0x8A, 0xF1)),
    ("headers", Colour(0xA8, 0xC1, 0xF2), Colour(0x37, 0x52, 0x8C)),
    ("repair", Colour(0xE5, 0x9A, 0x3C), Colour(0xE2, 0xA0, 0x4C)),
    ("repeats", Colour(0x9B, 0x7B, 0xD8), Colour(0xA8, 0x8B, 0xE1)),
    ("transport", Colour(0xC3, 0xCA, 0xD2), Colour(0x42, 0x4B, 0x56)),
    ("colour", Colour(0x1F, 0x5F, 0xA8), Colour(0x6F, 0xAE, 0xF0)),
    ("depth", Colour(0xB8, 0x60, 0x18), Colour(0xF0, 0x9A, 0x50)),
];

/// The look of a state or part of [`PARTS`].
///
/// # Panics
/// When there is none of this name.
#[must_use]
pub fn part(name: &str) -> Look {
    let (_, colour, _) = PARTS.iter().find(|(n, ..)| *n == name).expect("a part of the list");
    Look { colour: *colour, marker: Marker::Circle, dash: Dash::Solid, solid: true }
}

/// The look of a straight line that marks a value.
#[must_use]
pub fn rule() -> Look {
    Look { colour: AXIS, marker: Marker::Circle, dash: Dash::Dashed, solid: true }
}

/// The looks of the systems of a figure.
#[derive(Clone, Debug, Default)]
pub struct Looks(BTreeMap<String, Look>);

/// A system as tables call it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Named<'a> {
    /// Its plain name.
    pub plain: &'a str,
    /// With the words that tell it from others of that name.
    pub label: &'a str,
    /// True without options of its own: it has the look of its name, whatever tells it apart here.
    pub usual: bool,
}

impl Looks {
    /// Looks for systems. A shipped system has its own, any other one by its name; variants of a system (other options) share its colour and
    /// differ in marker and dash. Where two would look the same, the later one takes the next look that is free.
    #[must_use]
    pub fn new<'a>(systems: impl IntoIterator<Item = Named<'a>>) -> Self {
        let mut wanted: Vec<Named> = systems.into_iter().collect();
        // Shipped systems first, then plain names: nobody takes a look that belongs to another.
        let shipped = |name: &str| SHIPPED.iter().any(|(n, ..)| *n == name);
        wanted.sort_by_key(|n| (!n.usual || !shipped(n.plain), !n.usual, n.label));
        let mut looks = Self::default();
        for Named { plain, label, usual } in wanted {
            if looks.0.contains_key(label) {
                continue;
            }
            let (colour, marker, dash) = places(plain);
            let count = MARKERS.len() * DASHES.len();
            let shift = if usual { 0 } else { 1 + hash(label) % (count - 1) };
            let others = usual && !shipped(plain);
            let candidates = (0..PALETTE.len() * count).map(|i| {
                // A system without a place of its own looks for another colour first, a variant for another marker and dash.
                let (c, v) = if others {
                    (colour + i % PALETTE.len(), i / PALETTE.len())
                } else {
                    (colour + i / count, shift + i % count)
                };
                look(c, marker + v, dash + v)
            });
            // Lines without marks are told apart by colour and dash alone, as long as there are enough of them.
            let like = |a: &Look, b: &Look| {
                a.colour == b.colour && (others || a.dash == b.dash || a.marker == b.marker)
            };
            let free = |strict: bool| {
                candidates
                    .clone()
                    .find(|c| !looks.0.values().any(|had| if strict { like(had, c) } else { had == c }))
            };
            let enough = if others {
                looks.0.len() < PALETTE.len()
            } else {
                looks.0.values().filter(|l| l.colour == look(colour, 0, 0).colour).count() < DASHES.len()
            };
            let found = enough.then(|| free(true)).flatten().or_else(|| free(false));
            looks.0.insert(label.to_owned(), found.unwrap_or_else(|| look(colour, marker, dash)));
        }
        looks
    }

    /// The look of a system.
    #[must_use]
    pub fn of(&self, label: &str) -> Look {
        self.0.get(label).copied().unwrap_or_else(|| {
            let (colour, marker, dash) = places(label);
            look(colour, marker, dash)
        })
    }
}

fn look(colour: usize, marker: usize, dash: usize) -> Look {
    Look {
        colour: PALETTE[colour % PALETTE.len()].0,
        marker: MARKERS[marker % MARKERS.len()],
        dash: DASHES[dash % DASHES.len()],
        solid: false,
    }
}

fn places(plain: &str) -> (usize, usize, usize) {
    if let Some((_, colour, marker, dash)) = SHIPPED.iter().find(|(name, ..)| *name == plain) {
        return (*colour, *marker, *dash);
    }
    let h = hash(plain);
    (h % PALETTE.len(), h / PALETTE.len() % MARKERS.len(), h / PALETTE.len() / MARKERS.len() % DASHES.len())
}

#[allow(clippy::cast_possible_truncation)] // any digits of it serve
fn hash(text: &str) -> usize {
    (xxhash_rust::xxh3::xxh3_64(text.as_bytes()) >> 33) as usize
}

/// Rules of a style sheet that give figures inside a page its dark colours, each prefixed by `scope`.
#[must_use]
pub fn dark(scope: &str) -> String {
    let own = [
        (INK, Colour(0xD5, 0xDB, 0xE2)),
        (AXIS, Colour(0x8A, 0x94, 0xA0)),
        (GRID, Colour(0x2A, 0x31, 0x3A)),
        (Colour(0xFF, 0xFF, 0xFF), Colour(0x16, 0x1B, 0x22)),
    ];
    let parts = PARTS.iter().map(|(_, light, dark)| (*light, *dark));
    let mut out = String::new();
    for (light, dark) in own.into_iter().chain(PALETTE).chain(parts) {
        for property in ["fill", "stroke"] {
            out.push_str(&format!(
                "{scope} svg [{property}=\"{}\"]{{{property}:{}}}",
                light.hex(),
                dark.hex()
            ));
        }
    }
    out
}
