#!/usr/bin/perl
# programs.pl DIR COUNT: static i386 programs DIR/1 to DIR/COUNT, and DIR/wanted with the exit status of each.
#
# Each of their pages has code at the same place that only differs in a constant, and computes with it: who
# runs a page of another program ends with another status.
use strict;
use warnings;

my ($dir, $count) = @ARGV;
my ($base, $page, $pages, $entry) = (0x08048000, 4096, 16, 0x80);

open my $wanted, '>', "$dir/wanted" or die;
for my $n (1 .. $count) {
	my $image = "\x7fELF" . pack('CCCx9 vvV VVV V vvvvvv', 1, 1, 1, 2, 3, 1, $base + $entry, 52, 0, 0,
		52, 32, 1, 0, 0, 0);
	my $status = 0;

	$image .= pack('V8', 1, 0, $base, $base, $page * $pages, $page * $pages, 5, $page);
	for my $i (0 .. $pages - 1) {
		my $constant = ($n * 7 + $i * 13) & 0x7f;
		# ebx = ebx * 3 + constant; jmp to the next page, or exit(ebx)
		my $code = "\x6b\xdb\x03\x83\xc3" . chr($constant);

		$status = ($status * 3 + $constant) & 0xff;
		$code .= $i < $pages - 1 ? "\xe9" . pack('V', $page - length($code) - 5)
			: "\xb8\x01\x00\x00\x00\xcd\x80";
		$image .= "\0" x ($i * $page + $entry - length $image) . $code;
	}
	$image .= "\0" x ($page * $pages - length $image);
	open my $f, '>', "$dir/$n" or die;
	binmode $f;
	print $f $image;
	close $f;
	chmod 0755, "$dir/$n";
	print $wanted "$n $status\n";
}
