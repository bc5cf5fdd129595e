# One end of transfers that are judged by their checksums: see tests/soak/soak. Runs on the host and in
# guests, with what Debian's perl-base has.
#
# usage: net.pl serve ADDRESS PORT          answer whoever connects; prints the port (0: any)
#        net.pl ask ADDRESS PORT BYTES      send BYTES there and get as many back
#        net.pl port                        print a TCP port of 127.0.0.1 that nobody uses
#
# The client sends "BYTES\n" and so many bytes; the server sends the SHA-256 of what it got, then as many
# bytes of its own, and their SHA-256. Status of ask: 0, the sums are right; 1, one is wrong; 2, nobody
# answered, or not to the end; killed by SIGALRM: the same.
use strict;
use warnings;
use IO::Socket::INET;
use IPC::Open2;

# Seconds without progress until an end gives up. It is killed, then: a close() would first try to send the rest.
my $patience = 180;
my $piece = 65536;

sub listener {
	my ($address, $port) = @_;
	return IO::Socket::INET->new(LocalAddr => $address, LocalPort => $port, Listen => 20, ReuseAddr => 1)
		|| die "net.pl: $address:$port: $@\n";
}

sub random_bytes {
	my $count = shift;
	open my $random, '<', '/dev/urandom' or die "net.pl: /dev/urandom: $!\n";
	binmode $random;
	my $data;
	my $got = read $random, $data, $count;
	die "net.pl: /dev/urandom: short\n" unless $got == $count;
	return $data;
}

# By the program, as there is no module for it in perl-base.
sub sum_of {
	my $data = shift;
	my ($out, $in);
	my $pid = open2($out, $in, 'sha256sum');
	binmode $in;
	print $in $data;
	close $in;
	my $line = <$out> // '';
	waitpid $pid, 0;
	return (split ' ', $line)[0] // '';
}

sub receive {
	my ($socket, $count) = @_;
	my $data = '';
	while (length $data < $count) {
		my $left = $count - length $data;
		alarm $patience;
		my $got = read $socket, $data, $left < $piece ? $left : $piece, length $data;
		die "it ends early\n" unless $got;
	}
	return $data;
}

sub line_of {
	my $socket = shift;
	my $line = <$socket> // die "it ends early\n";
	chomp $line;
	return $line;
}

sub send_all {
	my ($socket, $data) = @_;
	for (my $at = 0; $at < length $data; $at += $piece) {
		alarm $patience;
		(print $socket substr($data, $at, $piece) and $socket->flush) or die "it does not listen\n";
	}
	alarm $patience;
}

sub answer {
	my $client = shift;
	binmode $client;
	my $count = line_of($client);
	my $sum = sum_of(receive($client, $count));
	my $data = random_bytes($count);
	send_all($client, "$sum\n$data" . sum_of($data) . "\n");
}

sub serve {
	my $server = listener(@_);
	$| = 1;
	print $server->sockport, "\n";
	$SIG{CHLD} = 'IGNORE';
	while (1) {
		my $client = $server->accept or next;
		next if fork;
		$SIG{CHLD} = 'DEFAULT';
		alarm $patience;
		eval { answer($client) };
		exit 0;
	}
}

# 0 or 1, or it dies.
sub exchange {
	my ($address, $port, $count) = @_;
	my $socket = IO::Socket::INET->new(PeerAddr => $address, PeerPort => $port) or die "$@\n";
	binmode $socket;
	my $data = random_bytes($count);
	send_all($socket, "$count\n$data");
	my $heard = line_of($socket);
	my $theirs = receive($socket, $count);
	my $sum = line_of($socket);
	print "sent what is not what arrived\n" if (my $bad_sent = $heard ne sum_of($data));
	print "got what is not what was sent\n" if (my $bad_got = $sum ne sum_of($theirs));
	return $bad_sent || $bad_got ? 1 : 0;
}

sub ask {
	my @where = @_;
	alarm $patience;
	my $status = eval { exchange(@where) };
	return $status if defined $status;
	print "no answer: $@";
	return 2;
}

$SIG{PIPE} = 'IGNORE';
my $what = shift // '';
if ($what eq 'serve' && @ARGV == 2) {
	serve(@ARGV);
} elsif ($what eq 'ask' && @ARGV == 3) {
	exit ask(@ARGV);
} elsif ($what eq 'port') {
	print listener('127.0.0.1', 0)->sockport, "\n";
} else {
	die "usage: net.pl serve ADDRESS PORT | ask ADDRESS PORT BYTES | port\n";
}
