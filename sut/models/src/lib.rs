//! Neural models on libtorch and their training.
//!
//! | module | what |
//! |---|---|
//! | [`dcvcrt`] | the neural video codec DCVC-RT |
//! | [`corrections`] | tokens that go on improving what stands still |
//! | [`tokenizer`] | picture to 32x32 tokens and back (Reparo's codec), presets `paper` and `lite` |
//! | [`lossrec`] | loss recovery of whole pictures (ReVo's) |
//! | [`lpips`] | the learned perceptual distance: VGG, AlexNet, SqueezeNet |
//! | [`token_recovery`] | fills the tokens that did not arrive (Reparo's loss recovery) |
//! | [`token_codec`] | the tokenizer as a sender and a receiver use it, with a memory |
//! | [`token_pictures`] | 4:2:0 pictures through the tokenizer, and units files of tokens |
//! | [`extension`] | what of this is in the registry of codecs and restorers |
//! | [`probe`] | layers' outputs, for comparisons |
//! | [`pth`] | PyTorch's own weight files, read without Python |
//! | [`weights`] | safetensors files, read strictly |
//! | [`train`] | what the training binaries share: data, optimiser, schedule, log |

pub mod corrections;
pub mod dcvcrt;
pub mod extension;
pub mod layers;
pub mod lossrec;
pub mod lpips;
pub mod memory;
pub mod probe;
pub mod pth;
pub mod token_codec;
pub mod token_pictures;
pub mod token_recovery;
pub mod tokenizer;
pub mod train;
pub mod weights;

/// Adds this crate's codecs and restorers to the registry of this program.
pub fn register() {
    codecs::registry::extend(&extension::EXTENSION);
}
