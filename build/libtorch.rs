//! How build scripts link libtorch.

/// Links the whole of libtorch, so that a CUDA build found at run time loads its kernels too, and leaves the path of the
/// libtorch built against in the binary.
pub fn link() {
    println!("cargo:rerun-if-env-changed=LIBTORCH");
    if let Ok(root) = std::env::var("LIBTORCH") {
        let lib = std::path::Path::new(&root).join("lib");
        let lib = lib.canonicalize().unwrap_or(lib);
        println!("cargo:rustc-link-arg=-Wl,--no-as-needed");
        println!("cargo:rustc-link-arg=-L{}", lib.display());
        println!("cargo:rustc-link-arg=-ltorch");
        println!("cargo:rustc-link-arg=-Wl,--as-needed");
        println!("cargo:rustc-link-arg=-Wl,-rpath,{}", lib.display());
        // Where the archive has it, beside the programs.
        println!("cargo:rustc-link-arg=-Wl,-rpath,$ORIGIN/../lib/freezeframe");
    }
}
