//! The ring of keys and values of the last frames: what makes one frame cost one frame.

use super::WINDOW;
use tch::{Device, Kind, Tensor};

/// Size of one layer's keys.
#[derive(Clone, Copy, Debug)]
pub(super) struct Layer {
    pub(super) heads: i64,
    pub(super) width: i64,
}

/// Keys and values `[places, heads, WINDOW, width]` of every layer.
#[derive(Debug)]
pub(super) struct Cache {
    layers: Vec<(Tensor, Tensor)>,
    frames: usize,
}

impl Cache {
    pub(super) fn new(layers: &[Layer], places: usize, device: Device) -> Self {
        let empty = |l: &Layer| {
            let shape = [places as i64, l.heads, WINDOW as i64, l.width];
            Tensor::zeros(shape, (Kind::Float, device))
        };
        Self { layers: layers.iter().map(|l| (empty(l), empty(l))).collect(), frames: 0 }
    }

    /// The next frame begins.
    pub(super) fn advance(&mut self) {
        self.frames += 1;
    }

    /// Place of the current frame in the ring.
    pub(super) fn place(&self) -> i64 {
        ((self.frames - 1) % WINDOW) as i64
    }

    /// Stores keys and values `[places, heads, width]` of the current frame.
    pub(super) fn put(&mut self, layer: usize, keys: &Tensor, values: &Tensor) {
        let place = self.place();
        let (stored_keys, stored_values) = &self.layers[layer];
        stored_keys.select(2, place).copy_(keys);
        stored_values.select(2, place).copy_(values);
    }

    /// Keys, values and ages of what is in the ring, the current frame included.
    pub(super) fn get(&self, layer: usize) -> (Tensor, Tensor, Tensor) {
        let entries = self.frames.min(WINDOW) as i64;
        let place = self.place();
        let ages: Vec<i64> = (0..entries).map(|slot| (place - slot).rem_euclid(WINDOW as i64)).collect();
        let (keys, values) = &self.layers[layer];
        let ages = Tensor::from_slice(&ages).to_device(keys.device());
        (keys.narrow(2, 0, entries), values.narrow(2, 0, entries), ages)
    }
}
