//! The nets of LPIPS, the learned perceptual distance: names, files, limits. The distance itself needs libtorch and is computed by
//! `models::lpips`, in a process of its own.

/// Which backbone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Net {
    /// VGG16.
    Vgg,
    /// `AlexNet`.
    Alex,
    /// `SqueezeNet` 1.1.
    Squeeze,
}

impl Net {
    /// Every net.
    pub const ALL: [Self; 3] = [Self::Vgg, Self::Alex, Self::Squeeze];

    /// Name of the metric.
    #[must_use]
    pub fn metric(self) -> &'static str {
        match self {
            Self::Vgg => "lpips_vgg",
            Self::Alex => "lpips_alex",
            Self::Squeeze => "lpips_squeeze",
        }
    }

    /// Name of the weight file.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::Vgg => "lpips_vgg_v0.1.safetensors",
            Self::Alex => "lpips_alex_v0.1.safetensors",
            Self::Squeeze => "lpips_squeeze_v0.1.safetensors",
        }
    }

    /// Smallest side that leaves every layer at least one pixel.
    #[must_use]
    pub fn smallest_side(self) -> usize {
        match self {
            Self::Vgg => 16,
            Self::Alex => 31,
            Self::Squeeze => 17,
        }
    }

    /// Whether pictures of these sizes can be compared.
    ///
    /// # Errors
    /// What is wrong with them.
    pub fn compares(self, one: (usize, usize), other: (usize, usize)) -> Result<(), String> {
        let ((w, h), metric) = (one, self.metric());
        if one != other {
            return Err(format!(
                "{metric}: the pictures differ in size: {w}x{h} and {}x{}",
                other.0, other.1
            ));
        }
        if w.min(h) < self.smallest_side() {
            return Err(format!("{metric}: needs sides of at least {}, got {w}x{h}", self.smallest_side()));
        }
        Ok(())
    }
}
