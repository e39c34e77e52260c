//! Largest values of windows, two apart. libtorch's own notes where each came from, one by one: four tenths of SqueezeNet's time.

/// Rows or columns that come out of `side` with a window of `kernel`; `ceil` keeps a part of one at the far edge.
pub(super) fn outputs(side: usize, kernel: usize, ceil: bool) -> usize {
    if ceil { (side - kernel).div_ceil(2) + 1 } else { (side - kernel) / 2 + 1 }
}

/// Planes of `height` rows and `width` columns, one after the other, into `to`.
pub(super) fn max(
    from: &[f32],
    (height, width): (usize, usize),
    (kernel, ceil): (usize, bool),
    to: &mut [f32],
    threads: usize,
) {
    let (rows, columns) = (outputs(height, kernel, ceil), outputs(width, kernel, ceil));
    let planes = from.len() / (height * width);
    let each = planes.div_ceil(threads.clamp(1, planes.max(1)));
    let part = |from: &[f32], to: &mut [f32]| {
        let mut highest = vec![0.0; width + kernel];
        for (plane, to) in from.chunks_exact(height * width).zip(to.chunks_exact_mut(rows * columns)) {
            for (y, to) in to.chunks_exact_mut(columns).enumerate() {
                let window = &plane[2 * y * width..height.min(2 * y + kernel) * width];
                row(window, width, kernel, &mut highest, to);
            }
        }
    };
    let part = &part;
    std::thread::scope(|scope| {
        let parts = from.chunks(each * height * width).zip(to.chunks_mut(each * rows * columns));
        let mut parts = parts.into_iter();
        let own = parts.next();
        for (from, to) in parts {
            scope.spawn(move || part(from, to));
        }
        if let Some((from, to)) = own {
            part(from, to);
        }
    });
}

/// One row: of the rows of a window.
fn row(window: &[f32], width: usize, kernel: usize, highest: &mut [f32], to: &mut [f32]) {
    #[cfg(target_arch = "x86_64")]
    {
        if is_x86_feature_detected!("avx512f") {
            // SAFETY: the processor has the instructions; the code is the same safe Rust, compiled for them.
            return unsafe { row_avx512(window, width, kernel, highest, to) };
        }
        if is_x86_feature_detected!("avx2") {
            // SAFETY: as above.
            return unsafe { row_avx2(window, width, kernel, highest, to) };
        }
    }
    row_lanes(window, width, kernel, highest, to);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn row_avx2(window: &[f32], width: usize, kernel: usize, highest: &mut [f32], to: &mut [f32]) {
    row_lanes(window, width, kernel, highest, to);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx512f")]
fn row_avx512(window: &[f32], width: usize, kernel: usize, highest: &mut [f32], to: &mut [f32]) {
    row_lanes(window, width, kernel, highest, to);
}

#[inline(always)]
fn row_lanes(window: &[f32], width: usize, kernel: usize, highest: &mut [f32], to: &mut [f32]) {
    let larger = |a: f32, b: f32| if a > b { a } else { b };
    let (first, rest) = window.split_at(width);
    highest[..width].copy_from_slice(first);
    for row in rest.chunks_exact(width) {
        highest[..width].iter_mut().zip(row).for_each(|(high, &value)| *high = larger(*high, value));
    }
    // Behind the last column its value again, which changes no maximum.
    let last = highest[width - 1];
    highest[width..].fill(last);
    if kernel == 3 {
        let (even, odd, next) = (&highest[..], &highest[1..], &highest[2..]);
        for (x, to) in to.iter_mut().enumerate() {
            *to = larger(larger(even[2 * x], odd[2 * x]), next[2 * x]);
        }
    } else {
        for (to, pair) in to.iter_mut().zip(highest.chunks_exact(2)) {
            *to = larger(pair[0], pair[1]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tch::{Kind, Tensor};

    /// Against libtorch, for odd and even sides, both windows, whole ones and parts; threads change nothing.
    #[test]
    fn the_largest_values_are_libtorchs() {
        for (height, width) in [(7, 7), (8, 9), (255, 254), (3, 16), (31, 33)] {
            let input = Tensor::randn([2, 5, height, width], (Kind::Float, tch::Device::Cpu));
            let values = Vec::<f32>::try_from(input.flatten(0, -1)).unwrap();
            let size = (height as usize, width as usize);
            for (kernel, ceil) in [(2, false), (3, false), (3, true), (2, true)] {
                let wanted = input.max_pool2d([kernel; 2], [2; 2], [0; 2], [1; 2], ceil);
                let kernel = kernel as usize;
                let (rows, columns) = (outputs(size.0, kernel, ceil), outputs(size.1, kernel, ceil));
                assert_eq!(wanted.size(), [2, 5, rows as i64, columns as i64], "{size:?} {kernel} {ceil}");
                let wanted = Vec::<f32>::try_from(wanted.flatten(0, -1)).unwrap();
                for threads in [1, 3] {
                    let mut found = vec![0.0; wanted.len()];
                    max(&values, size, (kernel, ceil), &mut found, threads);
                    assert_eq!(found, wanted, "{size:?} {kernel} {ceil}");
                }
            }
        }
    }
}
