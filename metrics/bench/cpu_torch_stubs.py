"""Stand-ins for the CUDA libraries that torch's wheel asks the loader for, so that its CPU part can be
imported without the multi-gigabyte packages. Usage: cpu_torch_stubs.py SITE-PACKAGES OUT REAL-LIB-DIR"""

import collections, glob, os, re, subprocess, sys, tempfile

site, out, real = sys.argv[1:4]
os.makedirs(out, exist_ok=True)
files = glob.glob(os.path.join(site, "torch", "lib", "*.so*"))


def readelf(*args):
    return subprocess.run(["readelf", "-W", *args], capture_output=True, text=True, check=True).stdout


needed, unversioned = set(), set()
symbols = collections.defaultdict(lambda: collections.defaultdict(set))  # library -> version -> names
for f in files:
    needed |= set(re.findall(r"NEEDED.*\[(.*)\]", readelf("-d", f)))
    owner, library = {}, None
    for line in readelf("-V", f).splitlines():
        if m := re.search(r"File: (\S+)", line):
            library = m[1]
        elif m := re.search(r"Name: (\S+) .*Version: (\d+)", line):
            owner[m[1]] = library
    for name, version in re.findall(r" UND (\w+)@(\S+)", readelf("--dyn-syms", f)):
        if version in owner:
            symbols[owner[version]][version].add(name)
    # Without a version any library may have it.
    unversioned |= set(re.findall(r" UND ((?:cu|nccl)\w+)$", readelf("--dyn-syms", f), re.M))

present = {os.path.basename(f) for f in files} | set(os.listdir(real))
system = subprocess.run(["ldconfig", "-p"], capture_output=True, text=True, check=True).stdout
for library in sorted(needed - present):
    if library in system:
        continue
    versions = symbols.get(library, {})
    # The loader wants every versioned symbol to exist; nothing calls them without a GPU.
    source = "".join(f"void {s}(void) {{ __builtin_trap(); }}\n" for v in versions.values() for s in sorted(v))
    if not versions:
        source += "".join(f"void {s}(void) {{ __builtin_trap(); }}\n" for s in sorted(unversioned))
    with tempfile.NamedTemporaryFile("w", suffix=".map") as script:
        script.write("".join(f"{v} {{ global: {'; '.join(sorted(n))}; }};\n" for v, n in versions.items()))
        script.flush()
        extra = ["-Wl,--version-script=" + script.name] if versions else []
        subprocess.run(["gcc", "-w", "-fno-builtin", "-shared", "-fPIC", "-o", os.path.join(out, library),
                        "-Wl,-soname," + library, *extra, "-x", "c", "-"], input=source, text=True, check=True)
