//! Neural models on libtorch: tokenizer, token recovery, LPIPS; and their training.
