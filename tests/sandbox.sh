# For tests that attack plex86 or take its defences away; sourced by bash.
#
# Owns: what stands between such a test and the machine it runs on, should plex86 fail: no
# privileges, and namespaces of its own, so that not even kill(-1) reaches anything. Sets the array
# `sandbox`, the words before a command; it is empty if this user can have no namespaces.
# shellcheck shell=bash
sandbox=()
if [ "$(id -u)" -eq 0 ]; then
	unprivileged=(setpriv --reuid=65534 --regid=65534 --clear-groups --bounding-set=-all
		--inh-caps=-all --no-new-privs)
	sandbox=(unshare --pid --fork --kill-child --mount --uts --ipc --net "${unprivileged[@]}")
	# In a container root may not be allowed that.
	"${sandbox[@]}" true 2>/dev/null || sandbox=()
elif unshare --user --pid --fork --kill-child true 2>/dev/null; then
	sandbox=(unshare --user --pid --fork --kill-child)
fi

# need_sandbox: root does not run such a test without one.
need_sandbox()
{
	[ ${#sandbox[@]} -eq 0 ] && [ "$(id -u)" -eq 0 ] || return 0
	echo 'skipped: root, but no namespaces to be had: an escape would hit this machine'
	exit 77
}

# stage FILE...: copy into ./bin, where an unprivileged user can read them.
stage()
{
	chmod 755 .
	mkdir -p -m 755 bin
	cp "$@" bin/ && chmod -R a+rX bin
}
