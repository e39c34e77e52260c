//! Neural models on libtorch and their training.
//!
//! | room | what |
//! |---|---|
//! | [`tokenizer`] | picture to 32x32 tokens and back (Reparo's codec), presets `paper` and `lite` |
//! | [`lpips`] | the learned perceptual distance: VGG, AlexNet, SqueezeNet |
//! | [`weights`] | safetensors files, read strictly |
//! | [`train`] | what the training binaries share: data, optimiser, schedule, log |

pub mod layers;
pub mod lpips;
pub mod tokenizer;
pub mod train;
pub mod weights;
