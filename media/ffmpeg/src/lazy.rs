//! A stub for each of FFmpeg's functions that this project and `ffmpeg_next` call: it jumps to the function, which the first call looks up.
//!
//! The stubs have the functions' own names. An object that is linked before the libraries satisfies the linker, which then (`--as-needed`)
//! notes no library in the program. A function that is missing here is linked as usual, and the program loads FFmpeg at its start
//! again; `harness/tests/start.rs` finds that out.

use std::ffi::{CStr, CString, c_char, c_void};
use std::sync::OnceLock;

use ffmpeg_next::ffi;

/// What a stub hands over at its first call; the assembly below lays it out.
#[repr(C)]
struct Function {
    /// Where the stub jumps to.
    address: *mut c_void,
    name: *const c_char,
    /// Its place in [`LIBRARIES`].
    library: usize,
}

/// Those of the version that this program was compiled for; a library of another one has other structures.
const LIBRARIES: [(&str, i32); 4] = [
    ("libavutil", ffi::LIBAVUTIL_VERSION_MAJOR),
    ("libavcodec", ffi::LIBAVCODEC_VERSION_MAJOR),
    ("libavformat", ffi::LIBAVFORMAT_VERSION_MAJOR),
    ("libswscale", ffi::LIBSWSCALE_VERSION_MAJOR),
];

/// # Safety
///
/// Called by the stubs alone, with their own record.
unsafe extern "C" fn look_up(function: *const Function) -> *mut c_void {
    static LOADED: [OnceLock<usize>; LIBRARIES.len()] = [const { OnceLock::new() }; LIBRARIES.len()];
    // SAFETY: a stub's record, which lives as long as the program; the other fields are constant.
    let (name, library) = unsafe { (CStr::from_ptr((*function).name), (*function).library) };
    let handle = *LOADED[library].get_or_init(|| {
        let (stem, major) = LIBRARIES[library];
        let file = CString::new(format!("{stem}.so.{major}")).expect("no NUL in it");
        // SAFETY: a string; the library's initialisers are those that a linked one runs before `main`.
        let handle = unsafe { libc::dlopen(file.as_ptr(), libc::RTLD_LAZY | libc::RTLD_GLOBAL) };
        if handle.is_null() {
            fail(&file);
        }
        handle as usize
    });
    // SAFETY: an open library and a string.
    let address = unsafe { libc::dlsym(handle as *mut c_void, name.as_ptr()) };
    if address.is_null() {
        fail(name);
    }
    // SAFETY: aligned and writable. Another thread writes the same address.
    unsafe { (&raw const (*function).address).cast_mut().write_volatile(address) };
    address
}

/// As the loader ends a program that lacks a library: with the reason and exit code 127.
fn fail(what: &CStr) -> ! {
    // SAFETY: the last error's text, or null.
    let reason = unsafe {
        let text = libc::dlerror();
        if text.is_null() { String::new() } else { CStr::from_ptr(text).to_string_lossy().into_owned() }
    };
    eprintln!(
        "FFmpeg: no {}: {reason}; install the libraries this program was built with (./setup)",
        what.to_string_lossy()
    );
    std::process::exit(127)
}

// The System V calling convention passes arguments in rdi, rsi, rdx, rcx, r8, r9 and xmm0 to 7, for variadic functions with their
// number in al; r10 and r11 are free. On entry the stack is 8 below a multiple of 16.
std::arch::global_asm!(
    ".text",
    ".p2align 4",
    "freezeframe_ffmpeg_first_call:",
    ".cfi_startproc",
    "push rbp",
    ".cfi_def_cfa_offset 16",
    ".cfi_offset rbp, -16",
    "mov rbp, rsp",
    ".cfi_def_cfa_register rbp",
    "push rdi",
    "push rsi",
    "push rdx",
    "push rcx",
    "push r8",
    "push r9",
    "push rax",
    "push r10",
    "sub rsp, 128",
    "movups [rsp], xmm0",
    "movups [rsp + 16], xmm1",
    "movups [rsp + 32], xmm2",
    "movups [rsp + 48], xmm3",
    "movups [rsp + 64], xmm4",
    "movups [rsp + 80], xmm5",
    "movups [rsp + 96], xmm6",
    "movups [rsp + 112], xmm7",
    "mov rdi, r11",
    "call {look_up}",
    "mov r11, rax",
    "movups xmm0, [rsp]",
    "movups xmm1, [rsp + 16]",
    "movups xmm2, [rsp + 32]",
    "movups xmm3, [rsp + 48]",
    "movups xmm4, [rsp + 64]",
    "movups xmm5, [rsp + 80]",
    "movups xmm6, [rsp + 96]",
    "movups xmm7, [rsp + 112]",
    "add rsp, 128",
    "pop r10",
    "pop rax",
    "pop r9",
    "pop r8",
    "pop rcx",
    "pop rdx",
    "pop rsi",
    "pop rdi",
    "pop rbp",
    ".cfi_def_cfa rsp, 8",
    "jmp r11",
    ".cfi_endproc",
    look_up = sym look_up,
);

macro_rules! lazy {
    ($library:literal: $($name:literal),+) => {
        std::arch::global_asm!($(concat!(
            ".text\n.p2align 4\n.globl ", $name, "\n.type ", $name, ", @function\n",
            $name, ":\n",
            "lea r11, [rip + freezeframe_ffmpeg_", $name, "]\n",
            "jmp qword ptr [r11]\n",
            ".size ", $name, ", . - ", $name, "\n",
            ".section .rodata\n",
            "freezeframe_ffmpeg_name_", $name, ": .asciz \"", $name, "\"\n",
            ".data\n.p2align 3\n",
            "freezeframe_ffmpeg_", $name, ":\n",
            ".quad freezeframe_ffmpeg_first_call\n",
            ".quad freezeframe_ffmpeg_name_", $name, "\n",
            ".quad ", $library, "\n",
            ".text",
        )),+);
    };
}

lazy!(0:
    "av_color_primaries_name", "av_color_range_name", "av_color_space_name", "av_color_transfer_name", "av_dict_copy",
    "av_dict_free", "av_dict_get", "av_dict_set", "av_display_rotation_get", "av_frame_alloc", "av_frame_apply_cropping",
    "av_frame_copy", "av_frame_copy_props", "av_frame_free", "av_frame_get_buffer", "av_frame_make_writable", "av_frame_ref",
    "av_frame_unref", "av_free", "av_freep", "av_get_bits_per_pixel", "av_get_channel_layout_nb_channels",
    "av_get_default_channel_layout", "av_image_get_buffer_size", "av_log_format_line2", "av_log_get_flags", "av_log_get_level",
    "av_log_set_callback", "av_log_set_flags", "av_log_set_level", "av_mallocz", "av_opt_set_bin", "av_opt_set_dict",
    "av_pix_fmt_desc_get", "av_read_image_line2", "av_realloc", "av_reduce", "av_rescale_q", "av_strdup", "av_strerror",
    "avutil_version"
);
lazy!(1:
    "av_codec_is_decoder", "av_codec_is_encoder", "av_init_packet", "av_new_packet", "av_packet_rescale_ts", "av_packet_unref",
    "av_shrink_packet", "avcodec_alloc_context3", "avcodec_close", "avcodec_configuration", "avcodec_encode_subtitle",
    "avcodec_find_decoder", "avcodec_find_decoder_by_name", "avcodec_find_encoder", "avcodec_find_encoder_by_name",
    "avcodec_flush_buffers", "avcodec_free_context", "avcodec_get_name", "avcodec_get_type", "avcodec_license", "avcodec_open2",
    "avcodec_parameters_alloc", "avcodec_parameters_copy", "avcodec_parameters_free", "avcodec_parameters_from_context",
    "avcodec_parameters_to_context", "avcodec_receive_frame", "avcodec_receive_packet", "avcodec_send_frame",
    "avcodec_send_packet", "avcodec_version"
);
lazy!(2:
    "av_demuxer_iterate", "av_dump_format", "av_find_best_stream", "av_guess_sample_aspect_ratio", "av_interleaved_write_frame",
    "av_read_frame", "av_read_pause", "av_read_play", "av_stream_get_side_data", "av_write_trailer", "avformat_alloc_context",
    "avformat_alloc_output_context2", "avformat_close_input", "avformat_configuration", "avformat_find_stream_info",
    "avformat_free_context", "avformat_index_get_entries_count", "avformat_index_get_entry", "avformat_license",
    "avformat_network_deinit", "avformat_network_init", "avformat_new_stream", "avformat_open_input", "avformat_version",
    "avformat_write_header", "avio_alloc_context", "avio_close", "avio_context_free", "avio_flush", "avio_open", "avio_size"
);
lazy!(3:
    "sws_allocVec", "sws_freeContext", "sws_freeFilter", "sws_freeVec", "sws_getCachedContext", "sws_getCoefficients",
    "sws_getContext", "sws_getDefaultFilter", "sws_getGaussianVec", "sws_isSupportedEndiannessConversion",
    "sws_isSupportedInput", "sws_isSupportedOutput", "sws_normalizeVec", "sws_scale", "sws_scaleVec",
    "sws_setColorspaceDetails", "swscale_configuration", "swscale_license", "swscale_version"
);
