# For scripts: `. testing/skip.sh`, then `skip THING REASON` where a test would call testing::skip! (testing/src/lib.rs).
# Prints the same line, appends it to the same file, and ends the script with 1 if FREEZEFRAME_REQUIRE has the thing.
# What a script does after a skip that is allowed is its own affair.
skip() {
  local things how line
  things=$(dirname "${BASH_SOURCE[0]}")/things.tsv
  how=$(awk -F '\t' -v thing="$1" '$1 == thing { print $2 }' "$things")
  if [ -z "$how" ]; then
    echo "$1 is not in $things"
    exit 1
  fi
  line="skipped: $1: $2 [$(basename "$0")]; to get it: $how"
  echo "$line"
  if [ -n "${FREEZEFRAME_SKIPS:-}" ]; then echo "$line" >> "$FREEZEFRAME_SKIPS"; fi
  case ",${FREEZEFRAME_REQUIRE:-}," in
    *",$1,"* | *,all,*)
      echo "required by FREEZEFRAME_REQUIRE"
      exit 1
      ;;
  esac
}
