//! Video codecs as jobs: VP8, VP9, H.264, H.265 through FFmpeg, and a null codec.
