//! Kubernetes: an Indexed Job, one index per part, as a manifest for `kubectl apply -f`. Nothing here speaks to a cluster.
//!
//! The volume holds what the runs read (clips, and the scenario and manifest files that the plan names, relative to it) and gets what
//! they give. The plan itself travels in the manifest. A pod that is lost is started again for its index alone, and finds there what it
//! had finished.

use super::{Job, quoted};
use crate::bad_input;
use anyhow::{Context, Result};
use serde_json::{Value, json};

/// Where the volume is in a pod.
const MOUNT: &str = "/data";
/// Where the plan is in a pod, if it is a file.
const PLAN: &str = "/plan/plan.toml";

/// What the manifest needs beside the sweep.
pub struct Cluster<'a> {
    /// Container image with the tool.
    pub image: &'a str,
    /// Name of the claim of a volume that many pods may write (ReadWriteMany).
    pub claim: &'a str,
    /// Text of the plan, if it is a file.
    pub plan: Option<&'a str>,
}

/// The documents of the manifest, as YAML (of which JSON is a part).
///
/// # Errors
/// [`crate::BadInput`] for an option of the engine that there is not.
pub fn manifest(job: &Job, cluster: &Cluster) -> Result<String> {
    let options = Options::read(job.options)?;
    // RFC 1123: what an object may be called.
    let name: String = format!("freezeframe-{}", job.name)
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(50)
        .collect();
    let name = name.trim_end_matches('-');
    let mut words = vec!["freezeframe".to_owned()];
    words.extend(job.words.iter().cloned());
    if cluster.plan.is_some() {
        // `sweep PLAN`
        PLAN.clone_into(&mut words[2]);
    }
    words.extend(["--out".to_owned(), format!("runs/{}", job.name)]);
    let command = format!("exec {} --shard $((JOB_COMPLETION_INDEX + 1))/{}", quoted(&words)?, job.parts);
    let mut volumes = vec![json!({"name": "data", "persistentVolumeClaim": {"claimName": cluster.claim}})];
    let mut mounts = vec![json!({"name": "data", "mountPath": MOUNT})];
    let mut documents = Vec::new();
    let metadata = |name: &str| {
        let mut metadata = json!({"name": name, "labels": {"app.kubernetes.io/name": "freezeframe"}});
        if let Some(namespace) = &options.namespace {
            metadata["namespace"] = json!(namespace);
        }
        metadata
    };
    if let Some(plan) = cluster.plan {
        volumes.push(json!({"name": "plan", "configMap": {"name": name}}));
        mounts.push(json!({"name": "plan", "mountPath": "/plan", "readOnly": true}));
        documents.push(json!({
            "apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata(name), "data": {"plan.toml": plan},
        }));
    }
    let resources = json!({"cpu": options.cpu, "memory": options.memory});
    documents.push(json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": metadata(name),
        "spec": {
            "completionMode": "Indexed",
            "completions": job.parts,
            "parallelism": options.parallelism.unwrap_or(job.parts),
            "backoffLimitPerIndex": 3,
            "maxFailedIndexes": job.parts,
            "template": {
                "metadata": {"labels": {"app.kubernetes.io/name": "freezeframe"}},
                "spec": {
                    "restartPolicy": "Never",
                    "containers": [{
                        "name": "sweep",
                        "image": cluster.image,
                        "workingDir": MOUNT,
                        "command": ["/bin/sh", "-c", command],
                        // The cache of encoded streams and of scores, shared by all parts.
                        "env": [{"name": "FREEZEFRAME_CACHE", "value": format!("{MOUNT}/cache")}],
                        "resources": {"requests": resources, "limits": resources},
                        "volumeMounts": mounts,
                    }],
                    "volumes": volumes,
                },
            },
        },
    }));
    let text = |document: &Value| serde_json::to_string_pretty(document).context("a manifest is text");
    Ok(documents.iter().map(text).collect::<Result<Vec<_>>>()?.join("\n---\n") + "\n")
}

struct Options {
    cpu: String,
    memory: String,
    namespace: Option<String>,
    parallelism: Option<u32>,
}

impl Options {
    fn read(words: &[String]) -> Result<Self> {
        let mut options = Self { cpu: "2".into(), memory: "4Gi".into(), namespace: None, parallelism: None };
        for word in words {
            match word.split_once('=') {
                Some(("cpu", value)) => options.cpu = value.into(),
                Some(("memory", value)) => options.memory = value.into(),
                Some(("namespace", value)) => options.namespace = Some(value.into()),
                Some(("parallelism", value)) if value.parse().is_ok_and(|n: u32| n > 0) => {
                    options.parallelism = value.parse().ok();
                }
                _ => bad_input!(
                    "--on kubernetes: {word:?} is no option; after -- there may be cpu=2, memory=4Gi, namespace=NAME, parallelism=N; \
                     anything else can be added to the manifest"
                ),
            }
        }
        Ok(options)
    }
}
