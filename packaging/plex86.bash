# Completion of plex86 for bash. Sourced by bash-completion from share/bash-completion/completions, or by
# hand; needs nothing but bash.
#
# Owns: what the values of options are. Commands and options are asked of plex86 --help.
# shellcheck shell=bash disable=SC2207

# Commands, one a line.
_plex86_commands()
{
	"$1" --help 2>/dev/null | sed -n '/^Commands:/,/^$/s/^  \([a-z]*\) .*/\1/p'
}

# The options of a command.
_plex86_options()
{
	"$1" "$2" --help 2>/dev/null |
		grep -oE '(^ {2,6}|, )--?[a-z][a-z-]*' | grep -oE -- '--?[a-z][a-z-]*$'
}

# Names of this user's running guests: their control sockets.
_plex86_guests()
{
	local dir=/tmp/plex86-$UID socket
	if [ -n "${XDG_RUNTIME_DIR-}" ]; then
		dir=$XDG_RUNTIME_DIR/plex86
	elif [ -d "/run/user/$UID/plex86" ]; then
		dir=/run/user/$UID/plex86
	fi
	for socket in "$dir"/*.sock; do
		[ -S "$socket" ] || continue
		socket=${socket##*/}
		echo "${socket%.sock}"
	done
}

# kit NAME...: what of these patterns there is where plex86 looks for kernels and images.
_plex86_kit()
{
	local program place pattern
	program=$(readlink -f "$(type -P "$1")") && program=${program%/*}
	shift
	for place in "$program/guest" "${XDG_DATA_HOME:-$HOME/.local/share}/plex86" "$program/../share/plex86"; do
		for pattern; do
			(cd "$place" 2>/dev/null && compgen -G "$pattern")
		done
	done | sort -u
}

# The value of option $2 of plex86 run: what it may begin with goes to COMPREPLY.
_plex86_value()
{
	local program=$1 option=$2 word=$3
	case $option in
	-k | --kernel)
		COMPREPLY=($(compgen -W "$(_plex86_kit "$program" 'linux-*/vmlinux' |
			sed 's|^linux-||; s|/vmlinux$||')" -- "$word") $(compgen -f -- "$word"))
		;;
	--image)
		COMPREPLY=($(compgen -W "bookworm bullseye trixie $(_plex86_kit "$program" '*.ext4' |
			sed 's|\.ext4$||')" -- "$word" | sort -u) $(compgen -f -- "$word"))
		;;
	-n | --net)
		COMPREPLY=($(compgen -W 'user lan= tap= none' -- "$word"))
		;;
	--engine | -[ab] | --[ab])
		COMPREPLY=($(compgen -W "$("$program" --version 2>/dev/null | sed -n 's/^engines: //p' |
			tr -d ,)" -- "$word"))
		;;
	--format)
		COMPREPLY=($(compgen -W 'text chrome' -- "$word"))
		;;
	-s | --share)
		COMPREPLY=($(compgen -d -- "$word"))
		;;
	-m | --memory | --name | --timeout | --hang | --expect | --stop-after | --interval | --count | -t | \
		-F | --hz | -e | --events | -r | --range)
		;; # nothing to suggest
	*)
		COMPREPLY=($(compgen -f -- "$word"))
		;;
	esac
}

# Has this option of the command a value behind it? --help says so: in capitals.
_plex86_has_value()
{
	"$1" "$2" --help 2>/dev/null | grep -qE -- "(^ {2,6}|, )$3( |, --[a-z-]* )[A-Z]"
}

_plex86()
{
	local program=${COMP_WORDS[0]} word=${COMP_WORDS[COMP_CWORD]} previous=${COMP_WORDS[COMP_CWORD - 1]}
	local command=${COMP_WORDS[1]-} i behind=no
	COMPREPLY=()
	if [ "$COMP_CWORD" = 1 ]; then
		COMPREPLY=($(compgen -W "$(_plex86_commands "$program") --help --version" -- "$word"))
		return
	fi
	for ((i = 2; i < COMP_CWORD; i++)); do
		[ "${COMP_WORDS[i]}" != -- ] || behind=yes
	done
	case $command,$behind in
	run,yes) return ;; # a command of the guest's
	trace,yes | profile,yes | diff,yes) command=run ;; # arguments of run's
	help,*)
		COMPREPLY=($(compgen -W "$(_plex86_commands "$program")" -- "$word"))
		return
		;;
	esac
	# What resume and replay take of run's options, they explain as run does.
	if [[ $previous == -* && $previous != -- ]] && _plex86_has_value "$program" "$command" "$previous"; then
		[ "$command,$previous" != trace,-f ] || previous=--format
		_plex86_value "$program" "$previous" "$word"
	elif [[ $word == -* ]]; then
		COMPREPLY=($(compgen -W "$(_plex86_options "$program" "$command")" -- "$word"))
	else
		case $command in
		stop | stat | pause | continue | control | snapshot)
			COMPREPLY=($(compgen -W "$(_plex86_guests)" -- "$word"))
			[ "$command" != snapshot ] || [ ${#COMPREPLY[@]} -gt 0 ] || COMPREPLY=($(compgen -f -- "$word"))
			;;
		resume | replay) COMPREPLY=($(compgen -f -- "$word")) ;;
		esac
	fi
}
complete -o filenames -o bashdefault -F _plex86 plex86
