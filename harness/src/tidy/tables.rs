//! The three tables: their columns, and a run's rows in them.

use super::{Column, Kind, Table, Value};
use crate::record::read_fates;
use crate::report::columns::{Better, COLUMNS};
use crate::report::load::Run;
use contract::frames::{self, Cell};
use contract::{FrameRow, Metric};
use link::{FateRecord, Timestamp};

fn column(name: impl Into<String>, kind: Kind, about: impl Into<String>) -> Column {
    Column { name: name.into(), kind, about: about.into() }
}

fn columns(list: &[(&str, Kind, &str)]) -> Vec<Column> {
    list.iter().map(|(name, kind, about)| column(*name, *kind, *about)).collect()
}

const RUN: (&str, Kind, &str) =
    ("run", Kind::Text, "hash of the run's key (docs/RUN-DIRECTORY.md); joins the tables");

/// One row per run.
#[must_use]
pub fn runs() -> Table {
    use Kind::{Bool, Float, Int, Text};
    let mut all = columns(&[
        RUN,
        ("directory", Text, "where the run is, as it was found"),
        ("system", Text, "system under test"),
        ("system_label", Text, "as tables call it: with the options that differ among these runs"),
        ("revision", Text, "hash of what the system is made of"),
        ("options", Text, "every option of the system, as a JSON object of texts"),
        ("scenario", Text, "scenario"),
        ("scenario_hash", Text, "hash of its content"),
        ("clip", Text, "clip"),
        ("clip_hash", Text, "hash of its content and shape"),
        ("depth", Bool, "depth was sent, too"),
        ("width", Int, "columns of the picture"),
        ("height", Int, "rows of the picture"),
        ("fps", Int, "captures per second"),
        ("frames", Int, "captured frames"),
        ("backend", Text, "virtual or namespaces"),
        ("playout", Text, "time from capture to screen that was asked for, or own"),
        ("costs", Text, "what systems were charged for their work: ideal (nothing), or a table of times"),
        ("seed", Int, "seed of everything random"),
        ("valid", Bool, "false: the numbers must not be used"),
        ("problems", Text, "why not, separated by semicolons"),
        ("stale", Bool, "kept although it would come out otherwise today"),
        ("self_reported", Bool, "the system said itself what happened in virtual time"),
        (
            "conditions",
            Text,
            "what else defines the condition, as a JSON object of texts: loss model, delays, sizes",
        ),
        ("replay", Text, "the command that repeats the run"),
    ]);
    all.extend(COLUMNS.iter().map(|c| {
        let better = match c.better {
            Better::Higher => "; more is better",
            Better::Lower => "; less is better",
            Better::Neither => "",
        };
        column(
            c.key,
            Float,
            format!("as `{}` of report.csv: {}{better}", c.key, format!("{} {}", c.group, c.name).trim()),
        )
    }));
    Table { name: "runs", row: "one run", columns: all }
}

/// A run's row.
#[must_use]
pub fn run_row(run: &Run, label: &str) -> Vec<Value> {
    let (scores, key) = (&run.scores, &run.scores.key);
    let text = |t: &str| Value::Text(t.to_owned());
    let object = |map: serde_json::Map<String, serde_json::Value>| {
        Value::Text(serde_json::Value::Object(map).to_string())
    };
    let options = key.options.keys().filter_map(|name| Some((name.clone(), key.option(name)?.into())));
    let conditions = scores.run.conditions.iter().map(|(k, v)| (k.clone(), v.clone().into()));
    let mut row = vec![
        Value::Text(key.hash()),
        Value::Text(run.dir.display().to_string()),
        text(&scores.run.system),
        text(label),
        text(&key.revision),
        object(options.collect()),
        text(&scores.run.scenario),
        text(&key.scenario_hash),
        text(&scores.run.clip),
        text(&key.clip_hash),
        Value::Bool(key.depth_hash.is_some()),
        Value::Int(key.width.into()),
        Value::Int(key.height.into()),
        Value::Int(key.fps.into()),
        Value::Int(scores.frames.into()),
        Value::Text(key.backend.to_string()),
        text(&key.playout),
        text(&key.costs),
        int(key.seed),
        Value::Bool(scores.health.valid),
        if scores.health.problems.is_empty() {
            Value::Null
        } else {
            Value::Text(scores.health.problems.join("; "))
        },
        Value::Bool(!run.stale.is_empty()),
        Value::Bool(scores.health.self_reported),
        object(conditions.collect()),
        text(&scores.run.replay),
    ];
    row.extend(COLUMNS.iter().map(|c| (c.get)(run).map_or(Value::Null, Value::Float)));
    row
}

/// One row per run, captured frame and stream.
#[must_use]
pub fn frames() -> Table {
    let kind = |kind| match kind {
        frames::Kind::Int => Kind::Int,
        frames::Kind::Bool => Kind::Bool,
        frames::Kind::Text => Kind::Text,
    };
    let mut all = columns(&[RUN]);
    all.extend(frames::COLUMNS.iter().map(|c| column(c.name, kind(c.kind), c.about)));
    all.extend(Metric::ALL.map(|m| {
        let unit = if m.unit().is_empty() { String::new() } else { format!(", {}", m.unit()) };
        column(
            m.name(),
            Kind::Float,
            format!("{}{unit}: shown picture against captured picture (docs/METRICS.md)", m.title()),
        )
    }));
    Table {
        name: "frames",
        row: "one stream of one captured frame of a run, as in its frames.csv",
        columns: all,
    }
}

/// A frame's row.
#[must_use]
pub fn frame_row(run: &str, row: &FrameRow) -> Vec<Value> {
    let mut all = vec![Value::Text(run.to_owned())];
    all.extend(frames::COLUMNS.iter().map(|c| match (c.get)(row) {
        Cell::Absent => Value::Null,
        Cell::Int(n) => int(n),
        Cell::Bool(yes) => Value::Bool(yes),
        Cell::Text(word) => Value::Text(word.to_owned()),
    }));
    all.extend(Metric::ALL.map(|m| row.metrics.get(&m).map_or(Value::Null, |v| Value::Float(*v))));
    all
}

/// One row per run, direction and packet.
#[must_use]
pub fn packets() -> Table {
    use Kind::{Bool, Int, Text};
    let all = columns(&[
        RUN,
        ("direction", Text, "forward (sender to receiver) or reverse"),
        ("n", Int, "number of the packet in its direction, from 0, in the order of entering"),
        ("in_ns", Int, "entered the path, nanoseconds since the run's start, as all times"),
        ("out_ns", Int, "came out by the model; null if it did not"),
        ("actual_ns", Int, "came out of a path in real time; null in virtual time"),
        ("copy_ns", Int, "a second copy came out by the model"),
        ("bytes", Int, "size of the IP packet, bytes"),
        ("fate", Text, "in one word"),
        ("lost", Bool, "nothing intact came out"),
        ("cause", Text, "why: the stage of the path that dropped or damaged it"),
        ("state", Text, "state of a two-state channel: good or bad"),
        ("trace_row", Int, "row of the trace that was being played"),
        ("frame_id", Int, "captured frame it belongs to, where packets can be read"),
        ("role", Text, "data, parity, repeat, feedback or control, where packets can be read"),
    ]);
    Table {
        name: "packets",
        row: "one packet of one direction of a run, as in its fates.jsonl",
        columns: all,
    }
}

/// A packet's row.
#[must_use]
pub fn packet_row(run: &str, fate: &FateRecord) -> Vec<Value> {
    let word = |v: serde_json::Result<serde_json::Value>| match v {
        Ok(serde_json::Value::String(word)) => Value::Text(word),
        _ => Value::Null,
    };
    vec![
        Value::Text(run.to_owned()),
        word(serde_json::to_value(fate.direction)),
        int(fate.n),
        time(Some(fate.in_ns)),
        time(fate.out_ns),
        time(fate.actual_ns),
        time(fate.copy_ns),
        Value::Int(fate.bytes.into()),
        word(serde_json::to_value(fate.fate)),
        Value::Bool(fate.loss().is_some()),
        fate.loss().map_or(Value::Null, |cause| Value::Text(cause.to_owned())),
        word(serde_json::to_value(fate.state)),
        count(fate.row),
        count(fate.frame),
        fate.role.as_ref().map_or(Value::Null, |role| Value::Text(contract::text::line(role))),
    ]
}

/// The fates of a run; `None` where it has no record of its path.
///
/// # Errors
/// When the record cannot be read.
pub fn fates(run: &Run) -> anyhow::Result<Option<Vec<FateRecord>>> {
    let path = run.dir.join("fates.jsonl");
    if !path.is_file() {
        return Ok(None);
    }
    Ok(Some(read_fates(&path)?.collect::<Result<_, _>>()?))
}

fn int(value: u64) -> Value {
    i64::try_from(value).map_or(Value::Null, Value::Int)
}

fn count(value: Option<u32>) -> Value {
    value.map_or(Value::Null, |v| Value::Int(v.into()))
}

fn time(value: Option<Timestamp>) -> Value {
    value.map_or(Value::Null, |t| int(t.as_nanos()))
}
