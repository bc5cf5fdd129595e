# fuzz_options NAME: libFuzzer's options for that target, one a line. Sourced by run and campaign.
# shellcheck shell=sh disable=SC2154 # fuzz_dir: this directory
fuzz_options()
{
	# Short inputs where a short one says all there is to say: an instruction, a few steps of a chip.
	# What is not named here grows up to libFuzzer's own limit.
	case $1 in
	decoder) echo -max_len=20 ;;
	pic | pit) echo -max_len=160 ;;
	shadow) echo -max_len=400 ;;
	esac
	# Choosing the next input that well takes a third of the time, and as long as running a short one.
	echo -entropic=0
	[ ! -f "$fuzz_dir/dict/$1" ] || echo "-dict=$fuzz_dir/dict/$1"
	# An input that takes longer has found something, and so has one that takes more memory.
	echo -timeout=25
	echo -rss_limit_mb=2048
}
