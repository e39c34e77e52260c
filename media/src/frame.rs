//! Pictures in memory.

/// Planar 4:2:0 picture, 8 bit, limited range unless said otherwise; what the codecs eat and give.
/// Chroma planes are `ceil(width / 2) x ceil(height / 2)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Yuv420 {
    /// Luma columns.
    pub width: usize,
    /// Luma rows.
    pub height: usize,
    /// `width * height` luma samples, row by row.
    pub y: Vec<u8>,
    /// Blue-difference samples.
    pub u: Vec<u8>,
    /// Red-difference samples.
    pub v: Vec<u8>,
}

/// Interleaved RGB picture, 8 bit, full range; what metrics and models see.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rgb {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `3 * width * height` samples: R, G, B of the first pixel, and so on row by row.
    pub data: Vec<u8>,
}

/// Depth picture in millimetres; 0 means "no measurement".
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Depth16 {
    /// Columns.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// `width * height` depths in millimetres.
    pub mm: Vec<u16>,
}

impl Yuv420 {
    /// A picture of one colour.
    #[must_use]
    pub fn filled(width: usize, height: usize, (y, u, v): (u8, u8, u8)) -> Self {
        let chroma = width.div_ceil(2) * height.div_ceil(2);
        Self { width, height, y: vec![y; width * height], u: vec![u; chroma], v: vec![v; chroma] }
    }

    /// Limited-range black.
    #[must_use]
    pub fn black(width: usize, height: usize) -> Self {
        Self::filled(width, height, (16, 128, 128))
    }

    /// Content hash of the samples and size (XXH3, 128 bit): equal pictures, equal hashes, on every machine.
    #[must_use]
    pub fn content_hash(&self) -> u128 {
        let mut h = xxhash_rust::xxh3::Xxh3::new();
        h.update(&(self.width as u64).to_le_bytes());
        h.update(&(self.height as u64).to_le_bytes());
        h.update(&self.y);
        h.update(&self.u);
        h.update(&self.v);
        h.digest128()
    }
}

impl Rgb {
    /// A black picture.
    #[must_use]
    pub fn black(width: usize, height: usize) -> Self {
        Self { width, height, data: vec![0; 3 * width * height] }
    }
}
