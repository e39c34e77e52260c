//! libFuzzer on the target that the environment variable TARGET names.
#![no_main]

use std::sync::LazyLock;

static TARGET: LazyLock<fuzz::Target> = LazyLock::new(|| {
    let names: Vec<&str> = fuzz::targets().iter().map(|t| t.name).collect();
    let wanted = std::env::var("TARGET").unwrap_or_default();
    let target = fuzz::targets().into_iter().find(|t| t.name == wanted);
    target.unwrap_or_else(|| panic!("set TARGET to one of {names:?}"))
});

libfuzzer_sys::fuzz_target!(|input: &[u8]| {
    (TARGET.run)(input);
});
