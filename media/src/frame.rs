//! Pictures in memory.

use crate::picture::Format;

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

    /// A picture made plane by plane: `plane` is given the plane's index (0 luma, 1 and 2 chroma), its columns and its rows.
    #[must_use]
    pub fn from_planes(
        (width, height): (usize, usize),
        mut plane: impl FnMut(usize, (usize, usize)) -> Vec<u8>,
    ) -> Self {
        let [y, u, v] = [0, 1, 2].map(|i| plane(i, Format::YUV420.plane_size(i, (width, height))));
        Self { width, height, y, u, v }
    }

    /// Luma and both chroma planes.
    #[must_use]
    pub fn planes(&self) -> [&[u8]; 3] {
        [&self.y, &self.u, &self.v]
    }

    /// [`Yuv420::planes`], to be written to.
    #[must_use]
    pub fn planes_mut(&mut self) -> [&mut [u8]; 3] {
        [&mut self.y, &mut self.u, &mut self.v]
    }

    /// A plane by its index, with its columns and rows.
    ///
    /// # Panics
    /// When there is no such plane.
    #[must_use]
    pub fn plane(&self, index: usize) -> (&[u8], (usize, usize)) {
        (self.planes()[index], Format::YUV420.plane_size(index, (self.width, self.height)))
    }

    /// Content hash of the samples and size (XXH3, 128 bit): equal pictures, equal hashes, on every machine.
    #[must_use]
    pub fn content_hash(&self) -> u128 {
        let mut h = xxhash_rust::xxh3::Xxh3::new();
        h.update(&(self.width as u64).to_le_bytes());
        h.update(&(self.height as u64).to_le_bytes());
        self.planes().into_iter().for_each(|plane| h.update(plane));
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

#[cfg(test)]
mod tests {
    use super::*;

    /// Chroma of odd sizes is rounded up, and a picture made of another's planes is that picture.
    #[test]
    fn planes_have_their_sizes() {
        let mut sizes = Vec::new();
        let picture = Yuv420::from_planes((5, 3), |index, (w, h)| {
            sizes.push((w, h));
            (0..w * h).map(|i| (100 * index + i) as u8).collect()
        });
        assert_eq!(sizes, [(5, 3), (3, 2), (3, 2)]);
        assert_eq!(picture.plane(2), (&[200, 201, 202, 203, 204, 205][..], (3, 2)));
        assert_eq!(Yuv420::from_planes((5, 3), |i, _| picture.planes()[i].to_vec()), picture);
    }
}
