//! The codecs and recoveries that are networks, by name.

use crate::{dcvcrt, dcvcrt_lite};
use codecs::registry::Extension;

/// Every one; [`crate::register`] makes them known. Reparo's tokens and the recoveries are with their networks.
pub static EXTENSION: Extension = Extension {
    codecs: &[&dcvcrt::DCVCRT, &dcvcrt_lite::DCVCRT_LITE],
    named: models::extension::EXTENSION.named,
    restorers: models::extension::EXTENSION.restorers,
};
