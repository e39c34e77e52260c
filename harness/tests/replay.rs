//! The command that a run says repeats it does: any request, through a shell's words and back, resolves to the same run.

use clap::Parser;
use contract::{Backend, Shaping};
use freezeframe::cmd::run::Args;
use freezeframe::launch::Request;
use freezeframe::launch::clip::{self, ClipRequest};
use proptest::prelude::*;
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::LazyLock;
use video::DepthUnit;

#[derive(Parser)]
enum Cli {
    Run(Args),
}

/// Clips, scenarios and manifests in folders with difficult names.
struct Files {
    _root: tempfile::TempDir,
    clips: Vec<PathBuf>,
    depths: Vec<PathBuf>,
    scenarios: Vec<PathBuf>,
    systems: Vec<PathBuf>,
}

static FILES: LazyLock<Files> = LazyLock::new(|| {
    let root = tempfile::tempdir().unwrap();
    let mut files = Files { clips: vec![], depths: vec![], scenarios: vec![], systems: vec![], _root: root };
    for folder in
        ["plain", "with blank", "quote'and\"quote", "line\nfeed", "-dash", "glob*$HOME;&", "Gespräch"]
    {
        let dir = files._root.path().join(folder);
        fs::create_dir(&dir).unwrap();
        for (name, luma) in [("a.y4m", 40), ("-b c.y4m", 90)] {
            fs::write(dir.join(name), y4m(luma)).unwrap();
            files.clips.push(dir.join(name));
        }
        fs::write(dir.join("depth of it.y4m"), depth()).unwrap();
        files.depths.push(dir.join("depth of it.y4m"));
        for (name, loss) in [("s.toml", "5%"), ("it's.toml", "7%")] {
            let text =
                format!("name='s'\ndescription=''\n[forward.loss]\nmodel='random'\nprobability='{loss}'\n");
            fs::write(dir.join(name), text).unwrap();
            files.scenarios.push(dir.join(name));
        }
        fs::write(dir.join("mine.toml"), "name='mine'\nabout=''\ncommand=['sh','mine.sh']\ndescribe=false\n")
            .unwrap();
        fs::write(dir.join("mine.sh"), "exit 1\n").unwrap();
        files.systems.push(dir.join("mine.toml"));
    }
    files
});

fn y4m(luma: u8) -> Vec<u8> {
    let mut bytes = b"YUV4MPEG2 W32 H32 F30:1 Ip A1:1 C420jpeg\n".to_vec();
    for frame in 0..4 {
        bytes.extend(b"FRAME\n");
        bytes.extend([luma + frame; 32 * 32]);
        bytes.extend([128; 2 * 16 * 16]);
    }
    bytes
}

/// Depth of the same shape: 16-bit grey.
fn depth() -> Vec<u8> {
    let mut bytes = b"YUV4MPEG2 W32 H32 F30:1 Ip A1:1 Cmono16\n".to_vec();
    for frame in 0..4u16 {
        bytes.extend(b"FRAME\n");
        bytes.extend((0..32 * 32).flat_map(|i: u16| (1000 + 2 * i + frame).to_le_bytes()));
    }
    bytes
}

/// `path` as one may type it: from the root, or from where the test runs.
fn typed(path: &Path, relative: bool) -> String {
    if !relative {
        return path.to_str().unwrap().to_owned();
    }
    let here = std::env::current_dir().unwrap();
    let up: PathBuf = here.components().skip(1).map(|_| "..").collect();
    up.join(path.strip_prefix("/").unwrap()).to_str().unwrap().to_owned()
}

prop_compose! {
    fn file(list: fn(&Files) -> &Vec<PathBuf>)(place in any::<prop::sample::Index>(), relative in any::<bool>()) -> String {
        let path: &PathBuf = place.get(list(&FILES).as_slice());
        typed(path, relative)
    }
}

fn option() -> impl Strategy<Value = String> {
    let key = prop_oneof![Just("qp".to_owned()), Just("-x".to_owned()), "[a-z _'\"-]{1,6}"];
    let value = prop_oneof![
        any::<i32>().prop_map(|n| n.to_string()),
        any::<f64>().prop_map(|x| format!("{x:?}")),
        Just("[1, 2]".to_owned()),
        Just("1\nother = 2".to_owned()),
        Just("1 # no comment".to_owned()),
        Just("{ a = 1 }".to_owned()),
        "[^\0]{0,12}",
        any::<String>().prop_map(|s| s.replace('\0', "")),
    ];
    (key, value).prop_map(|(k, v)| format!("{k}={v}"))
}

prop_compose! {
    fn requests()(
        scenario in prop_oneof![Just("ge-high".to_owned()), Just("wifi-lossy".to_owned()), file(|f| &f.scenarios)],
        system in file(|f| &f.systems),
        rgb in file(|f| &f.clips),
        depth in prop::option::of(file(|f| &f.depths)),
        depth_unit in prop_oneof![Just(DepthUnit::Usual), (1u32..10_000).prop_map(|n| DepthUnit::PerMetre(f64::from(n)))],
        no_depth in any::<bool>(),
        shape in (prop::sample::select(vec![16u32, 32, 48]), prop::sample::select(vec![16u32, 64]), prop::sample::select(vec![10u32, 30])),
        frames in prop::option::of(1u32..2),
        fov in prop::option::of(1.0f64..179.0),
        backend in prop::sample::select(vec![Backend::Virtual, Backend::Namespaces]),
        shaper in prop::sample::select(vec![Shaping::Auto, Shaping::User, Shaping::Kernel]),
        seed in any::<u64>(),
        options in prop::collection::vec(option(), 0..4),
        costs in prop::sample::select(vec!["ideal", "epyc-zen5", "reparo-paper"]),
        cache in any::<bool>(),
    ) -> Request {
        // A key that is there twice is refused.
        let (mut options, mut keys) = (options, BTreeSet::new());
        options.retain(|option| keys.insert(option.split('=').next().unwrap_or_default().to_owned()));
        let shaper = if backend == Backend::Virtual { Shaping::Auto } else { shaper };
        let clip = ClipRequest { rgb: Some(rgb), depth: depth.map(PathBuf::from), depth_unit, no_depth, shape, frames, fov };
        Request { scenario, system, clip, backend, shaper, seed, options, costs: costs.to_owned(), cache }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    #[test]
    fn any_request_comes_back_through_a_shell(request in requests()) {
        let resolve = |request: &Request| {
            let clip = clip::resolve(&request.clip, &mut |_| {}).unwrap();
            // As text: NaN is not equal to itself.
            toml::to_string(&request.resolve(clip).unwrap().0).unwrap()
        };
        let line = request.replay().unwrap();
        let words = shlex::split(&line).expect("words of a shell");
        let Cli::Run(args) = Cli::try_parse_from(&words).map_err(|e| TestCaseError::fail(format!("{line}: {e}")))?;
        let again = args.request().unwrap();
        prop_assert_eq!(again.replay().unwrap(), line, "and says so itself");
        prop_assert_eq!(resolve(&again), resolve(&request));
    }
}

/// The built program: a run, and then its own command, in a real shell and in another folder.
#[test]
fn a_run_repeats_to_the_byte() {
    let place = tempfile::tempdir().unwrap();
    let folder = place.path().join("it's here");
    fs::create_dir(&folder).unwrap();
    let mut picture = b"YUV4MPEG2 W64 H48 F30:1 Ip A1:1 C420jpeg\n".to_vec();
    for frame in 0..20u32 {
        picture.extend(b"FRAME\n");
        picture.extend((0..64 * 48).map(|i: u32| (i % 64 * 2 + i / 64 * (i % 7) + frame * 3) as u8));
        picture.extend([128; 2 * 32 * 24]);
    }
    fs::write(folder.join("my clip.y4m"), picture).unwrap();
    let bin = env!("CARGO_BIN_EXE_freezeframe");
    let cache = place.path().join("cache");
    let run = Command::new(bin)
        .current_dir(&folder)
        .env("FREEZEFRAME_CACHE", &cache)
        .args([
            "run",
            "ge-high",
            "--system",
            "revo-h264",
            "--clip",
            "my clip.y4m",
            "--size",
            "48x32",
            "--fps",
            "25",
        ])
        .args([
            "--frames",
            "12",
            "--seed",
            "9",
            "-o",
            "qp=35",
            "--no-cache",
            "--no-video",
            "--out",
            "../first",
        ])
        .output()
        .unwrap();
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
    let (first, second) = (place.path().join("first"), place.path().join("second"));
    let spec = contract::RunSpec::read(&first).unwrap();
    let replay = spec.replay.strip_prefix("freezeframe ").expect("the tool's own command");
    let again = Command::new("sh")
        .current_dir("/")
        .env("FREEZEFRAME_CACHE", &cache)
        .args(["-c", &format!("'{bin}' {replay} --no-video --out '{}'", second.display())])
        .output()
        .unwrap();
    assert!(again.status.success(), "{}", String::from_utf8_lossy(&again.stderr));
    for file in
        ["events.jsonl", "fates.jsonl", "rendered.rgb.units", "frames.csv", "spec.toml", "scores.json"]
    {
        let read = |dir: &Path| fs::read(dir.join(file)).unwrap();
        assert!(!read(&first).is_empty() && read(&first) == read(&second), "{file} differs");
    }
}
