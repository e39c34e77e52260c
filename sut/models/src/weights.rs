//! Weight files: safetensors, 16- or 32-bit floats, read strictly.
//!
//! A file says in its metadata what it is (`model`, `preset` and whatever else a model asks for).
//! Loading takes exactly the tensors the model has, with exactly their shapes and only finite values;
//! anything else is an error that names the file, so that damaged or foreign weights never draw pictures.

use half::f16;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};
use std::collections::{BTreeMap, HashMap};
use std::path::{Path, PathBuf};
use tch::{Kind, Tensor, no_grad};

/// Where the weights are: `FREEZEFRAME_WEIGHTS`, or the first that there is of `weights/` beside an installed program, of the source tree
/// this was built from, and of the user's and the machine's data folders ([`contract::data`]).
#[must_use]
pub fn weights_folder() -> PathBuf {
    if let Some(folder) = std::env::var_os("FREEZEFRAME_WEIGHTS") {
        return folder.into();
    }
    let tree = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../weights");
    let mut installed = contract::data::folders().into_iter().map(|f| f.join("weights"));
    let places = installed.next().into_iter().chain([tree.clone()]).chain(installed);
    places.into_iter().find(|p| p.is_dir()).unwrap_or(tree)
}

/// A weight file of the [`weights_folder`], directly in it or one folder down.
///
/// # Errors
/// [`WeightsError::Io`], naming the place where it was expected.
pub fn find(name: &str) -> Result<PathBuf, WeightsError> {
    let folder = weights_folder();
    let below = std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|e| e.path());
    let mut below: Vec<PathBuf> = below.filter(|p| p.is_dir()).collect();
    below.sort();
    let mut places = std::iter::once(&folder).chain(&below).map(|f| f.join(name));
    places.find(|p| p.is_file()).ok_or_else(|| WeightsError::Io {
        path: folder.join(name),
        source: std::io::Error::new(
            std::io::ErrorKind::NotFound,
            "it is not there (`freezeframe weights` says where it comes from)",
        ),
    })
}

/// Why weights were refused.
#[derive(Debug, thiserror::Error)]
pub enum WeightsError {
    /// The file cannot be read or written.
    #[error("failed to access weights {path}: {source}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Not a safetensors file, or a truncated or damaged one.
    #[error("weights {path} are damaged or not safetensors: {reason}")]
    Damaged {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// Whole, but not for this model.
    #[error("weights {path} do not fit: {reason}")]
    Mismatch {
        /// The file.
        path: PathBuf,
        /// What differs.
        reason: String,
    },
}

/// A weight file in memory.
#[derive(Debug)]
pub struct Weights {
    path: PathBuf,
    /// What the file says about itself.
    pub metadata: BTreeMap<String, String>,
    /// Every tensor as 32-bit floats.
    pub tensors: BTreeMap<String, Tensor>,
}

impl Weights {
    /// Reads a whole file.
    ///
    /// # Errors
    /// [`WeightsError::Io`] and [`WeightsError::Damaged`]; values that are not finite count as damage.
    pub fn read(path: &Path) -> Result<Self, WeightsError> {
        let bytes = std::fs::read(path).map_err(|source| WeightsError::Io { path: path.into(), source })?;
        let damaged = |reason: String| WeightsError::Damaged { path: path.into(), reason };
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|e| damaged(e.to_string()))?;
        let metadata = header.metadata().clone().unwrap_or_default().into_iter().collect::<BTreeMap<_, _>>();
        let file = SafeTensors::deserialize(&bytes).map_err(|e| damaged(e.to_string()))?;
        let mut tensors = BTreeMap::new();
        for (name, view) in file.iter() {
            let values = floats(&view).map_err(|reason| damaged(format!("{name}: {reason}")))?;
            let shape: Vec<i64> = view.shape().iter().map(|&d| d as i64).collect();
            tensors.insert(name.to_owned(), Tensor::from_slice(&values).view(shape.as_slice()));
        }
        Ok(Self { path: path.into(), metadata, tensors })
    }

    /// Reads safetensors, by their ending, or PyTorch's own files ([`pth`](crate::pth)), in which every key may begin with
    /// `module.`.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn read_any(path: &Path) -> Result<Self, WeightsError> {
        if path.extension().is_some_and(|e| e == "safetensors") {
            return Self::read(path);
        }
        let bytes = std::fs::read(path).map_err(|source| WeightsError::Io { path: path.into(), source })?;
        let damaged = |reason: String| WeightsError::Damaged { path: path.into(), reason };
        let arrays = crate::pth::read(&bytes).map_err(|e| damaged(format!("{e:#}")))?;
        Self::from_arrays(path, arrays)
    }

    /// Weights of a file that was read elsewhere; a leading `module.` of a name (parallel training adds it) is left out.
    ///
    /// # Errors
    /// [`WeightsError::Damaged`] when values are not finite.
    pub fn from_arrays(path: &Path, arrays: Vec<(String, crate::pth::Array)>) -> Result<Self, WeightsError> {
        let mut tensors = BTreeMap::new();
        for (name, array) in arrays {
            if !array.values.iter().all(|v| v.is_finite()) {
                let reason = format!("{name}: values are not finite");
                return Err(WeightsError::Damaged { path: path.into(), reason });
            }
            let tensor = Tensor::from_slice(&array.values).view(array.shape.as_slice());
            tensors.insert(name.strip_prefix("module.").unwrap_or(&name).to_owned(), tensor);
        }
        Ok(Self { path: path.into(), metadata: BTreeMap::new(), tensors })
    }

    /// Errs unless metadata `key` is `wanted`.
    ///
    /// # Errors
    /// [`WeightsError::Mismatch`].
    pub fn expect(&self, key: &str, wanted: &str) -> Result<(), WeightsError> {
        match self.metadata.get(key) {
            Some(found) if found == wanted => Ok(()),
            Some(found) => Err(self.mismatch(format!("{key} is {found:?}, this model needs {wanted:?}"))),
            None => Err(self.mismatch(format!("no {key} in the metadata, this model needs {wanted:?}"))),
        }
    }

    /// Copies every tensor into `variables`, which must have the same names and shapes.
    ///
    /// # Errors
    /// [`WeightsError::Mismatch`]; nothing is copied then.
    pub fn fill(&self, variables: &HashMap<String, Tensor>) -> Result<(), WeightsError> {
        for (name, variable) in variables {
            let Some(tensor) = self.tensors.get(name) else {
                return Err(self.mismatch(format!("tensor {name} is missing")));
            };
            let (found, wanted) = (tensor.size(), variable.size());
            if found != wanted {
                return Err(self.mismatch(format!("tensor {name} is {found:?}, not {wanted:?}")));
            }
        }
        if let Some(extra) = self.tensors.keys().find(|name| !variables.contains_key(*name)) {
            return Err(self.mismatch(format!("tensor {extra} is unknown to this model")));
        }
        no_grad(|| {
            for (name, variable) in variables {
                variable.shallow_clone().copy_(&self.tensors[name]);
            }
        });
        Ok(())
    }

    fn mismatch(&self, reason: String) -> WeightsError {
        WeightsError::Mismatch { path: self.path.clone(), reason }
    }
}

/// Writes `tensors` as 16-bit floats (`half`) or 32-bit ones, through a temporary file.
///
/// # Errors
/// [`WeightsError::Io`], and [`WeightsError::Damaged`] when a value does not survive 16 bits.
pub fn write(
    path: &Path,
    tensors: &BTreeMap<String, Tensor>,
    metadata: &[(&str, &str)],
    half: bool,
) -> Result<(), WeightsError> {
    let damaged = |reason: String| WeightsError::Damaged { path: path.into(), reason };
    let mut stored: Vec<(&String, Vec<usize>, Vec<u8>)> = Vec::new();
    for (name, tensor) in tensors {
        let flat = tensor.detach().to_kind(Kind::Float).contiguous().view([-1]);
        let values = Vec::<f32>::try_from(&flat).map_err(|e| damaged(format!("{name}: {e}")))?;
        let mut bytes = Vec::with_capacity(4 * values.len());
        for value in values {
            if half {
                let value = f16::from_f32(value);
                if !value.is_finite() {
                    return Err(damaged(format!("{name} does not fit 16-bit floats")));
                }
                bytes.extend_from_slice(&value.to_le_bytes());
            } else {
                bytes.extend_from_slice(&value.to_le_bytes());
            }
        }
        stored.push((name, tensor.size().iter().map(|&d| d as usize).collect(), bytes));
    }
    let kind = if half { Dtype::F16 } else { Dtype::F32 };
    let views = stored.iter().map(|(name, shape, bytes)| {
        TensorView::new(kind, shape.clone(), bytes).map(|view| (name.as_str(), view))
    });
    let views: Vec<_> = views.collect::<Result<_, _>>().map_err(|e| damaged(e.to_string()))?;
    let metadata: HashMap<String, String> =
        metadata.iter().map(|&(k, v)| (k.to_owned(), v.to_owned())).collect();
    let bytes = safetensors::serialize(views, Some(metadata)).map_err(|e| damaged(e.to_string()))?;
    contract::write_whole(path, &bytes).map_err(|source| WeightsError::Io { path: path.into(), source })
}

fn floats(view: &TensorView) -> Result<Vec<f32>, String> {
    let values: Vec<f32> = match view.dtype() {
        Dtype::F16 => {
            view.data().chunks_exact(2).map(|b| f16::from_le_bytes([b[0], b[1]]).to_f32()).collect()
        }
        Dtype::F32 => {
            view.data().chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect()
        }
        other => return Err(format!("{other:?} values, not 16- or 32-bit floats")),
    };
    if values.iter().all(|v| v.is_finite()) { Ok(values) } else { Err("values are not finite".into()) }
}
