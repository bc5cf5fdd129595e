# The console's login shell when the host's standard input is no terminal (plex86.pipe, see
# guest/init/cmdline.h): what comes in is a script, and its end is the end of the machine.
case " $(cat /proc/cmdline) " in
*" plex86.pipe "*)
	if [ "$(tty)" = "/dev/$(sed 's/.* //' /sys/class/tty/console/active)" ]; then
		# No line editing: it would echo, and interpret control characters.
		set +o emacs +o vi
		unset HISTFILE
		PS1='' PS2='' TERM=dumb
		trap poweroff EXIT
		plex86-exec console
	fi
	;;
esac
