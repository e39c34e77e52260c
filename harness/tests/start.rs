//! What the loader has to bring before `main`: FFmpeg's libraries and those they need are a hundred and thirty, and 30 ms.

use std::path::Path;
use std::process::Command;

#[test]
fn no_program_loads_ffmpeg_or_libtorch_before_it_needs_them() {
    for (name, no_torch) in [("freezeframe", true), ("sut", true), ("sut-neural", false)] {
        let program = Path::new(env!("CARGO_BIN_EXE_freezeframe")).with_file_name(name);
        // With this variable the loader prints what it would load, as ldd does, and ends.
        let output = Command::new(&program).env("LD_TRACE_LOADED_OBJECTS", "1").output().unwrap();
        let libraries = String::from_utf8(output.stdout).unwrap();
        assert!(libraries.contains("libc.so"), "{name}: {libraries}");
        for library in ["libav", "libsw", "libx264"] {
            assert!(!libraries.contains(library), "{name} loads {library}:\n{libraries}");
        }
        assert!(!(no_torch && libraries.contains("libtorch")), "{name} loads libtorch:\n{libraries}");
    }
}
