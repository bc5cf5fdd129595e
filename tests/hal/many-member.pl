# One of several guests on a network: see tests/hal/many. Runs in the guest, with what Debian's
# perl-base has.
#
# usage: many-member.pl NUMBER HOST-PORT PEER...
#
# Owns: files round.N in the current directory, TCP ports 8000 (answers with the hash of what it
# gets) and 8002 (ends this), and the lines that tests/hal/many judges by: "synced FILE SUM" after
# each fsync, "round N: PEER..." with those that gave the right answer. A peer that does not, after
# it has before, is never asked again.
use strict;
use warnings;
use IO::Handle;
use IO::Select;
use IO::Socket::INET;

my ($self, $host_port, @peers) = @ARGV;
$| = 1;
$SIG{CHLD} = 'IGNORE';
$SIG{PIPE} = 'IGNORE';

sub listener {
	my $port = shift;
	return IO::Socket::INET->new(LocalPort => $port, Listen => 20, ReuseAddr => 1)
		|| die "port $port: $@";
}

sub serve {
	my $server = listener(8000);
	while (1) {
		my $client = $server->accept or next;
		next if fork;
		$client->syswrite("ready\n");
		open STDIN, '<&', $client;
		open STDOUT, '>&', $client;
		exec 'sha256sum';
	}
}

# What a peer answers to some data; undefined if it does not in time.
sub ask {
	my ($address, $data) = @_;
	my $answer = eval {
		local $SIG{ALRM} = sub { die "time-out\n" };
		alarm 20;
		my $s = IO::Socket::INET->new(PeerAddr => $address, PeerPort => 8000) or die "$@\n";
		<$s> eq "ready\n" or die "not ready\n";
		$s->print($data);
		$s->flush;
		$s->shutdown(1);
		my $line = <$s>;
		alarm 0;
		$line;
	};
	alarm 0;
	return $answer;
}

# A new file of random bytes, really on the disk: its contents and hash.
sub write_file {
	my $name = shift;
	open my $random, '<', '/dev/urandom' or die;
	read $random, my $data, 100000;
	open my $file, '>', $name or die "$name: $!";
	print $file $data or die "$name: $!";
	$file->flush && $file->sync or die "$name: $!";
	close $file or die "$name: $!";
	my $sum = (split ' ', `sha256sum $name`)[0];
	print "synced $name $sum\n";
	return ($data, $sum);
}

fork || serve();
my $finish = listener(8002);
my $asked = IO::Select->new($finish);
my $host = IO::Socket::INET->new(PeerAddr => '10.0.2.2', PeerPort => $host_port) or die "host: $@";
print $host "guest $self\n";
close $host;

my %known;
for (my $round = 1; !$asked->can_read(0.1); $round++) {
	my ($data, $sum) = write_file("round.$round");
	my @right = grep { (ask("10.9.0.$_", $data) // '') eq "$sum  -\n" } @peers;
	print "round $round: @right\n";
	$known{$_} = 1 for @right;
	my %right = map { $_ => 1 } @right;
	@peers = grep { $right{$_} || !$known{$_} } @peers;
}
$finish->accept->syswrite("ready\n");
