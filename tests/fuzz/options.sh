# fuzz_options NAME: libFuzzer's options for that target, one a line. Sourced by run and campaign.
#
# Short inputs where a short one says all there is to say: an instruction, a register, a few steps
# of a chip. What is not named here grows up to libFuzzer's own limit.
# shellcheck shell=sh
fuzz_options()
{
	case $1 in
	decoder) echo -max_len=20 ;;
	pic | pit) echo -max_len=160 ;;
	shadow) echo -max_len=400 ;;
	esac
	[ ! -f "$fuzz_dir/dict/$1" ] || echo "-dict=$fuzz_dir/dict/$1"
	# An input that takes longer has found something, and so has one that takes more memory.
	echo -timeout=25
	echo -rss_limit_mb=2048
}
