//! [`ffmpeg_next`] as it is, with FFmpeg's libraries loaded at the first call into one of them.
//!
//! FFmpeg of a distribution brings some hundred and thirty libraries (librsvg, cairo, glib, every codec), whose loading takes 30 ms
//! of a processor before `main`: most of `freezeframe --help`, and of every start of a system that uses no codec in it. With
//! these stubs (`lazy.rs`) a program that decodes nothing loads none of them.

#[cfg(all(target_os = "linux", target_arch = "x86_64"))]
mod lazy;

pub use ffmpeg_next::*;
