//! Video files in and out through FFmpeg.
