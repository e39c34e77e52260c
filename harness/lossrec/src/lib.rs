//! Loss recovery outside a session: on runs that are finished, and on files. The program `freezeframe-lossrec` is the command line
//! of it, and `freezeframe lossrec` starts that: the tool itself has no networks.
//!
//! | module | what |
//! |---|---|
//! | [`walk`] | slot by slot through a run of a video codec: what was captured, what was shown, what is damaged |
//! | [`gain`] | what recovery would have made of a run's damaged frames, measured |
//! | [`blend`] | trains the part of LossRec-lite that mixes the decoder's picture with the last good one |
//! | [`samples`] | damaged frames of runs as training data |
//! | [`evaluate`] | the original's offline evaluation |
//! | [`masks`] | frame masks of logs and runs |
//! | [`npy`] | NumPy's files |

pub mod blend;
pub mod evaluate;
pub mod gain;
pub mod masks;
pub mod npy;
pub mod samples;
pub mod walk;
