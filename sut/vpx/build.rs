//! Finds libvpx (dynamic) and makes bindings from the headers that are installed, so that layouts and version numbers are this library's.

use std::path::PathBuf;

const HEADER: &str = "#include <vpx/vpx_encoder.h>\n#include <vpx/vp8cx.h>\n";

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    let found =
        pkg_config::Config::new().atleast_version("1.12").statik(false).probe("vpx").unwrap_or_else(|e| {
            panic!("libvpx's headers are not there; run ./setup (Debian: libvpx-dev): {e}")
        });
    let include = found.include_paths.iter().map(|path| format!("-I{}", path.display()));
    let bindings = bindgen::Builder::default()
        .header_contents("vpx_headers.h", HEADER)
        .clang_args(include)
        .allowlist_function("vpx_codec_(enc_.*|encode|get_cx_data|control_|destroy|err_to_string|error_detail|vp[89]_cx|version_str)")
        .allowlist_function("vpx_img_wrap")
        .allowlist_type("vp8e_enc_control_id|vpx_codec_enc_cfg.*|vpx_codec_cx_pkt.*|vpx_kf_mode")
        .allowlist_var("VPX_.*|VP8_EFLAG_.*")
        .prepend_enum_name(false)
        .layout_tests(false)
        .generate()
        .expect("libvpx's headers can be read");
    let out = PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets it"));
    bindings.write_to_file(out.join("bindings.rs")).expect("the build folder can be written");
}
