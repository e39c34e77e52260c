//! libvpx's encoders by its own interface, as its headers have it. `codecs::vpx` is the safe side.
//!
//! FFmpeg's wrapper sets the optimal buffer level to five sixths of the buffer, has no control for the noise sensitivity of VP9,
//! and cannot change the rate of an open encoder; libwebrtc and Ringmaster do all three. The library stays the distribution's
//! `libvpx.so`, the one that FFmpeg loads too.

#![allow(non_camel_case_types, non_upper_case_globals, non_snake_case, missing_docs)]
#![allow(clippy::all, clippy::pedantic)]

include!(concat!(env!("OUT_DIR"), "/bindings.rs"));
